"""What a machine answers after role base."""

import json
import re
import shlex

from waiting import wait_for

# What auditctl says of a rule that is right when there is no kernel to take it.
REFUSED = {"The audit system is disabled", "Error sending add rule data request (Operation not permitted)"}
# What a small kernel, or a network namespace that is not the first, lacks.
ABSENT = {"kernel.sysrq", "kernel.yama.ptrace_scope", "net.core.bpf_jit_harden"}
LOGIN = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o NumberOfPasswordPrompts=1"


def ssh(host, options: str, command: str = "id -un", login: str = "visitor"):
    """An SSH login to the machine itself, from the account of `visitor`, who has a key."""
    line = f"ssh {LOGIN} {options} {login}@127.0.0.1 {shlex.quote(command)}"
    return host.run(f"su visitor -c {shlex.quote(line)}")


def test_a_key_logs_in(host):
    answer = ssh(host, "-o BatchMode=yes")
    assert (answer.rc, answer.stdout.strip()) == (0, "visitor"), answer.stderr


def test_a_right_password_is_refused(host):
    host.run("printf '#!/bin/sh\\necho known to everybody\\n' > /tmp/askpass; chmod 755 /tmp/askpass")
    line = f"ssh {LOGIN} -o PubkeyAuthentication=no visitor@127.0.0.1 true"
    answer = host.run(f"su visitor -c {shlex.quote(f'SSH_ASKPASS=/tmp/askpass SSH_ASKPASS_REQUIRE=force {line}')}")
    assert answer.rc == 255
    assert "Permission denied (publickey)" in answer.stderr


def test_root_is_refused_with_a_key_that_would_open(host):
    host.run("mkdir -p -m 700 /root/.ssh; cp /home/visitor/.ssh/id_ed25519.pub /root/.ssh/authorized_keys")
    answer = host.run(f"su visitor -c 'ssh {LOGIN} -o BatchMode=yes root@127.0.0.1 true'")
    assert answer.rc == 255
    assert "Permission denied" in answer.stderr


def test_old_algorithms_find_no_partner(host):
    for option, word in (
        ("-o KexAlgorithms=ecdh-sha2-nistp256", "key exchange method"),
        ("-o Ciphers=aes128-ctr", "cipher"),
        ("-o MACs=hmac-sha1 -o Ciphers=aes128-ctr", "cipher"),
        ("-o HostKeyAlgorithms=ecdsa-sha2-nistp256", "host key type"),
    ):
        answer = ssh(host, f"-o BatchMode=yes {option}")
        assert answer.rc == 255
        assert f"no matching {word} found" in answer.stderr


def test_connections_through_the_machine_are_refused(host):
    answer = ssh(host, "-o BatchMode=yes -W 127.0.0.1:22", command="")
    assert answer.rc == 255 and "stdio forwarding failed" in answer.stderr
    assert "SSH-2.0" not in answer.stdout


def test_the_authority_is_trusted_by_programs(host):
    """A TLS server with a certificate of the stage is believed by a client that names no authority of its own."""
    answer = host.run(
        "openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt"
        " /usr/local/share/ca-certificates/stagecraft-molecule.crt"
    )
    assert answer.rc == 0 and "OK" in answer.stdout


def test_apt_fetches_through_the_proxy(host, journal):
    host.check_output("cd /tmp && rm -f netbase_*.deb && apt-get download -q netbase")
    assert "/netbase_" in journal("-u proxy")


def test_pip_looks_only_where_it_is_told(host):
    host.check_output("python3 -m venv /tmp/venv")
    answer = host.run("env -u PIP_FIND_LINKS /tmp/venv/bin/pip --retries 0 download -d /tmp nosuch")
    assert answer.rc == 1
    assert "packages.molecule.internal" in answer.stdout + answer.stderr
    assert "pypi" not in answer.stdout + answer.stderr


def test_the_journal_is_bounded_and_on_disk(host, journal):
    host.run("logger -t molecule 'a line to find'")
    assert "a line to find" in journal("--directory=/var/log/journal -t molecule")
    assert "SystemMaxUse=150M" in host.check_output("systemd-analyze cat-config systemd/journald.conf")


def test_name_and_hosts_are_left_alone(host):
    name = host.backend.get_pytest_id().rpartition("://")[2]
    assert host.check_output("hostname") == name
    assert name in host.file("/etc/hosts").content_string


def test_a_declared_user_logs_in_by_the_declared_key_only(host):
    answer = ssh(host, "-o BatchMode=yes", login="anna")
    assert (answer.rc, answer.stdout.strip()) == (0, "anna"), answer.stderr
    own = "/home/anna/.ssh/authorized_keys"
    host.run("install -d -o anna -m 700 /home/anna/.ssh; rm -f /tmp/own*; ssh-keygen -q -t ed25519 -N '' -f /tmp/own")
    host.run(f"install -o anna -m 600 /tmp/own.pub {own}; chown visitor /tmp/own")
    answer = ssh(host, "-o BatchMode=yes -o IdentitiesOnly=yes -i /tmp/own", login="anna")
    assert answer.rc == 255 and "Permission denied (publickey)" in answer.stderr


def test_an_account_of_the_image_opens_by_the_declared_key_and_no_longer_by_the_one_in_its_home(host):
    answer = ssh(host, "-o BatchMode=yes", login="image")
    assert (answer.rc, answer.stdout.strip()) == (0, "image"), answer.stderr
    own = host.run(f"su image -c 'ssh {LOGIN} -o BatchMode=yes image@127.0.0.1 true'")
    assert own.rc == 255 and "Permission denied" in own.stderr


def test_sudo_allows_the_declared_commands_only(host):
    assert ssh(host, "-o BatchMode=yes", "sudo -n /usr/bin/id -u", login="anna").stdout.strip() == "0"
    answer = ssh(host, "-o BatchMode=yes", "sudo -n /usr/bin/true", login="anna")
    assert answer.rc == 1 and "password is required" in answer.stderr


def test_who_is_no_longer_declared_is_gone_with_all_that_ran(host):
    assert host.run("id former").rc == 1
    assert host.run("pgrep --uid 20009").stdout == ""
    assert host.run("su visitor -c 'ls /home/former'").rc == 2
    assert host.file("/home/former/notes").exists


def test_an_address_that_keeps_failing_is_refused_and_others_are_not(host):
    def tried(source: str, login: str):
        return ssh(host, f"-o BatchMode=yes -o ConnectTimeout=5 -b {source}", login=login)

    try:
        for source in ("127.0.0.66", "127.0.0.77"):
            for _ in range(5):
                assert "Permission denied" in tried(source, "nobody-knows-me").stderr
        wait_for("the end of its way in", lambda: tried("127.0.0.66", "visitor").rc, 30)
        answer = tried("127.0.0.66", "visitor")
        assert answer.rc == 255 and "Permission denied" not in answer.stderr, answer.stderr
        assert tried("127.0.0.67", "visitor").rc == 0, "an address that did nothing"
        assert tried("127.0.0.77", "visitor").rc == 0, "an address that is exempt"
    finally:
        host.run("fail2ban-client unban --all")
    assert tried("127.0.0.66", "visitor").rc == 0


def test_the_time_zone_is_the_declared_one(host):
    assert host.check_output("date +%z") == "+0545"


def test_time_comes_from_the_declared_server(host):
    """A container may not set its clock: chrony asks the server, says how far off the clock is, and leaves it."""
    server = (
        "port 123\nbindaddress 127.0.0.1\nallow 127.0.0.1\nlocal stratum 5\ncmdport 0\npidfile /run/ntp-server.pid\n"
    )
    host.run(f"printf '{server}bindcmdaddress /\n' > /tmp/server.conf")
    host.check_output("systemd-run --collect --unit=ntp-server /usr/sbin/chronyd -x -d -f /tmp/server.conf")
    try:
        answer = host.run("chronyd -Q -t 20 -f /etc/chrony/chrony.conf")
        assert answer.rc == 0 and "System clock wrong by" in answer.stdout + answer.stderr, answer.stderr
    finally:
        host.run("systemctl stop ntp-server")
    unserved = host.run("chronyd -Q -t 5 -f /etc/chrony/chrony.conf")
    assert unserved.rc == 1, "the declared server is the only one"


def test_only_security_updates_come_by_themselves(host):
    answer = host.check_output("unattended-upgrade --dry-run --debug")
    release = host.check_output(". /etc/os-release; echo $VERSION_CODENAME")
    wanted = f"origin=Debian,codename={release}-security,label=Debian-Security"
    assert re.search(r"Allowed origins are: (.*)", answer).group(1) == wanted


def test_a_restart_for_an_update_falls_into_the_window(host):
    settings = dict(
        re.findall(r'^Unattended-Upgrade::(\S+) "(.*)";', host.check_output("apt-config dump"), re.MULTILINE)
    )
    assert settings["Automatic-Reboot"] == "true"
    assert settings["Automatic-Reboot-Time"] >= "23:30" or settings["Automatic-Reboot-Time"] < "01:30"


def test_kernel_settings_of_the_network_take_effect(host):
    """In a network namespace of its own the machine may set them; those of the kernel belong to the host."""
    program = """
import json, pathlib
root = pathlib.Path("/proc/sys")
lines = pathlib.Path("/etc/sysctl.d/60-stagecraft.conf").read_text().splitlines()
wanted = dict(line.lstrip("-").split(" = ") for line in lines if line.startswith("-"))
paths = {name: root / name.replace(".", "/") for name in wanted}
found = {name: path.read_text().strip() for name, path in paths.items() if path.exists()}
print(json.dumps([wanted, found]))
"""
    host.run(f"printf %s {shlex.quote(program)} > /tmp/settings.py")
    answer = host.check_output(
        "unshare --net --mount sh -ec 'mount --bind /proc/sys/net /proc/sys/net; mount -o remount,bind,rw /proc/sys/net;"
        " /lib/systemd/systemd-sysctl; python3 /tmp/settings.py'"
    )
    wanted, found = json.loads(answer)
    assert wanted["net.ipv4.conf.all.rp_filter"] == "2", "the inventory's value replaces the role's"
    network = {
        name: value for name, value in wanted.items() if name.startswith(("net.ipv4", "net.ipv6")) and name in found
    }
    assert len(network) > 10
    assert {name: found[name] for name in network} == network
    assert set(wanted) - set(found) <= ABSENT, "a name no kernel has"


def test_the_kernel_would_take_every_audit_rule(host):
    """A container has no audit trail; auditctl still reads a rule before it finds out."""
    rules = host.file("/etc/audit/rules.d/stagecraft.rules").content_string.splitlines()
    rules = [rule for rule in rules if rule.startswith("-a ")]
    assert len(rules) > 10
    for rule in [*rules, "-a always,exit -F arch=b64 -S no_such_call -F key=x"]:
        answer = host.run(f"unshare --user --map-root-user auditctl {shlex.join(rule.split())}")
        words = set((answer.stdout + answer.stderr).strip().splitlines())
        understood = words <= {
            "The audit system is disabled",
            "Error sending add rule data request (Operation not permitted)",
        }
        assert understood is ("no_such_call" not in rule), (rule, words)


def test_what_cannot_run_here_is_skipped_and_nothing_has_failed(host):
    assert host.check_output("systemctl --failed --no-legend --plain") == ""
    for unit in ("chrony", "auditd", "audit-rules"):
        assert host.check_output(f"systemctl show --value --property=ConditionResult {unit}") == "no"


def test_nobody_leaves_a_core_dump(host):
    assert ssh(host, "-o BatchMode=yes", "ulimit -Hc").stdout.strip() == "0"


def test_only_sshd_listens(host):
    lines = host.check_output("ss -Hltun").splitlines()
    listening = {line.split()[4] for line in lines}
    assert {address for address in listening if not address.startswith("127.")} == {"0.0.0.0:22", "[::]:22"}


def test_the_package_lists_came_from_the_declared_source(journal):
    assert "InRelease" in journal("-u proxy")

"""What a machine answers after role base."""

import shlex

LOGIN = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o NumberOfPasswordPrompts=1"


def ssh(host, options: str, command: str = "id -un"):
    """An SSH login to the machine itself as `visitor`, from an account that has the user's key."""
    line = f"ssh {LOGIN} {options} visitor@127.0.0.1 {command}"
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


def test_apt_fetches_through_the_proxy(host):
    host.check_output("cd /tmp && rm -f netbase_*.deb && apt-get download -q netbase")
    assert "/netbase_" in host.check_output("journalctl -u proxy -o cat")


def test_pip_looks_only_where_it_is_told(host):
    host.check_output("python3 -m venv /tmp/venv")
    answer = host.run("env -u PIP_FIND_LINKS /tmp/venv/bin/pip --retries 0 download -d /tmp nosuch")
    assert answer.rc == 1
    assert "packages.molecule.internal" in answer.stdout + answer.stderr
    assert "pypi" not in answer.stdout + answer.stderr


def test_the_journal_is_bounded_and_on_disk(host):
    host.run("logger -t molecule 'a line to find'; journalctl --sync")
    assert "a line to find" in host.check_output("journalctl --directory=/var/log/journal -t molecule -o cat")
    assert "SystemMaxUse=150M" in host.check_output("systemd-analyze cat-config systemd/journald.conf")


def test_name_and_hosts_are_left_alone(host):
    assert host.check_output("hostname") == "sc-molecule-base"
    assert "sc-molecule-base" in host.file("/etc/hosts").content_string

"""Hand-made changes of every kind are named with their time, and stay until a record takes them as its own."""

import datetime
import time

import host_modules
import pytest

RECORD = "/var/lib/stagecraft/machine-state.json"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE0p3rHqJ0dJ6QgyJx8zAv0mmJH0Zt5cVY2mO3xk9iBv by@hand"
BY_HAND = f"""\
set -e
echo second > /srv/state/page
chmod 0666 /srv/state/page
echo another-password > /etc/state/secret
ln -sfn /etc/passwd /srv/state/current
mkdir -p /etc/systemd/system/answer.service.d
printf '[Service]\\nNice=5\\n' > /etc/systemd/system/answer.service.d/hand.conf
cat > /etc/systemd/system/hand.service <<END
[Service]
ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 8099
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl start hand
systemctl disable --quiet --now answer
systemctl mask --quiet fstrim.timer
apt-get install --quiet --quiet --yes hello
apt-get purge --quiet --quiet --yes iputils-ping
useradd --create-home --shell /bin/bash alice
gpasswd --add alice sudo
echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/alice
echo declared:a-password-of-somebody | chpasswd
usermod --shell /bin/bash declared
mkdir -p /home/declared/.ssh
echo '{KEY}' > /home/declared/.ssh/authorized_keys
for _ in $(seq 50); do curl --silent --output /dev/null http://127.0.0.1:8099/ && break; sleep 0.1; done
"""
BACK = """\
systemctl unmask --quiet fstrim.timer
systemctl stop hand
rm -rf /etc/systemd/system/hand.service /etc/systemd/system/answer.service.d /etc/sudoers.d/alice /home/declared/.ssh
systemctl daemon-reload
systemctl enable --quiet --now answer
userdel --remove alice
usermod --shell /bin/sh --password '!' declared
echo first > /srv/state/page; chmod 0644 /srv/state/page; ln -sfn page /srv/state/current
echo a-password-for-tests > /etc/state/secret
apt-get purge --quiet --quiet --yes hello
apt-get install --quiet --quiet --yes iputils-ping
for _ in $(seq 50); do curl --silent --output /dev/null http://127.0.0.1:8000/ && break; sleep 0.1; done
"""


def ask(host, *flags, **options):
    """What the module returns on this host."""
    return host_modules.ask(host, "machine_state", "stagecraft.platform.machine_state", *flags, **options)


def now():
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def changed(host):
    """What is told after changes by hand, and between which times they were made."""
    ask(host, state="recorded")
    time.sleep(1)  # times are told to the second
    began = now()
    host.run_expect([0], f"export DEBIAN_FRONTEND=noninteractive; {BY_HAND}")
    told = ask(host, state="compared")
    yield told, began, now()
    host.run(f"export DEBIAN_FRONTEND=noninteractive; {BACK}")
    ask(host, state="recorded")  # the same machine may be asked again


def rows(told):
    return {(row["kind"], row["name"], row["field"]): (row["what"], row["old"], row["new"]) for row in told["drift"]}


def test_nothing_is_told_of_what_nobody_changed(host):
    told = ask(host, state="compared")
    assert told["drift"] == [] and told["recorded"]


def test_a_machine_is_as_it_was_left_with_the_same_inputs_and_no_difference(host):
    ask(host, state="recorded", inputs="one")
    assert ask(host, state="compared", inputs="one")["as_left"]
    assert not ask(host, state="compared", inputs="another")["as_left"]
    assert not ask(host, state="compared")["as_left"]
    host.run_expect([0], "chmod 0600 /srv/state/page")
    told = ask(host, state="compared", inputs="one", ignore=["file /srv/*"])
    assert not told["as_left"] and told["ignored"] == 1
    host.run_expect([0], "chmod 0644 /srv/state/page")
    assert ask(host, state="compared", inputs="one")["as_left"]
    ask(host, state="recorded")
    assert not ask(host, state="compared")["as_left"]


def test_every_change_by_hand_is_told_and_nothing_else(changed):
    keys = "1: SHA256:"
    told = rows(changed[0])
    was, has = told.pop(("user", "declared", "keys"))[1:]
    assert was == "0" and has.startswith(keys) and len(has) == len(keys) + 12
    assert told == {
        ("file", "/etc/state/secret", "content"): ("changed", "hidden (21 bytes)", "hidden, changed (17 bytes)"),
        ("file", "/etc/sudoers.d/alice", ""): ("new", "", ""),
        ("file", "/etc/systemd/system/answer.service.d/hand.conf", ""): ("new", "", ""),
        ("file", "/etc/systemd/system/hand.service", ""): ("new", "", ""),
        ("file", "/srv/state/current", "target"): ("changed", "page", "/etc/passwd"),
        ("file", "/srv/state/page", "content"): ("changed", "sha256:b640e840… (6 bytes)", "sha256:480c2336… (7 bytes)"),
        ("file", "/srv/state/page", "mode"): ("changed", "0644", "0666"),
        ("group", "alice", ""): ("new", "", ""),
        ("group", "sudo", "members"): ("changed", "", "alice"),
        ("package", "hello", ""): ("new", "", ""),
        ("package", "iputils-ping", ""): ("gone", "", ""),
        ("port", "127.0.0.1:8000/tcp", ""): ("gone", "python3", ""),
        ("port", "127.0.0.1:8099/tcp", ""): ("new", "", "python3"),
        ("unit", "answer.service", "active"): ("changed", "active", "inactive"),
        ("unit", "answer.service", "enabled"): ("changed", "enabled", "disabled"),
        ("unit", "fstrim.timer", "enabled"): ("changed", "enabled", "masked"),
        ("unit", "hand.service", "active"): ("changed", "inactive", "active"),
        ("user", "alice", ""): ("new", "", ""),
        ("user", "declared", "password"): ("changed", "locked", "set"),
        ("user", "declared", "shell"): ("changed", "/bin/sh", "/bin/bash"),
    }


def test_every_time_is_that_of_the_change(changed):
    told, began, ended = changed
    unknown = [row["name"] for row in told["drift"] if not row["since"]]
    assert unknown == ["127.0.0.1:8000/tcp"]  # a port that is closed has left no trace
    for row in told["drift"]:
        assert not row["since"] or began <= row["since"] <= ended, row


def test_what_is_ignored_is_counted(host, changed):
    every = changed[0]["drift"]
    left = ask(host, state="compared", ignore=["package hello", "user *", "file /srv/* mode", "port 127.0.0.1:80*"])
    assert left["ignored"] == len(every) - len(left["drift"]) > 6
    gone = [row for row in every if row not in left["drift"]]
    assert {row["kind"] for row in gone} == {"file", "package", "port", "user"}
    assert [row["field"] for row in gone if row["kind"] == "file"] == ["mode"]


def test_what_was_before_a_run_stays_and_what_a_run_did_is_recorded(host, changed):
    known = [row for row in changed[0]["drift"] if row["since"]]
    time.sleep(1)
    began = now()
    recorded = host.file(RECORD).content_string
    assert ask(host, "--check", state="recorded", began=began)["drift"] == known
    assert host.file(RECORD).content_string == recorded, "check mode wrote a record"
    assert ask(host, state="recorded", began=began)["drift"] == known
    assert ask(host, state="compared")["drift"] == known
    host.run_expect([0], "echo by-the-run > /srv/state/page")
    kept = [row for row in known if (row["name"], row["field"]) != ("/srv/state/page", "content")]
    assert ask(host, state="recorded", began=began)["drift"] == kept
    assert ask(host, state="compared")["drift"] == kept
    assert ask(host, state="recorded")["drift"] == []
    assert ask(host, state="compared")["drift"] == []


def test_the_record_is_root_s_and_has_no_secret(host, changed):
    assert host.check_output(f"stat -c '%U:%G %a' {RECORD}") == "root:root 600"
    assert host.run(f"grep -e a-password -e another-password -e '[$]y[$]' {RECORD}").rc == 1

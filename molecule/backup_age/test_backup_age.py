"""What the node exporter shows of the backups, and what happens when the cloud refuses."""

import re
import time
from contextlib import contextmanager

import pytest
from waiting import wait_for

CURL = "curl --silent --show-error --max-time 10"
OWN = "--cert /etc/prometheus-node-exporter/certificate.pem --key /etc/prometheus-node-exporter/key.pem"
NEWEST, ASKED = (
    "stagecraft_backup_newest_timestamp_seconds",
    "stagecraft_backup_collector_last_success_timestamp_seconds",
)
UNIT = "backup-age"
ENOUGH = 30  # seconds


def shown(host) -> dict[str, float]:
    """The samples about backups, as Prometheus reads them."""
    text = host.check_output(f"{CURL} {OWN} https://$(hostname):9100/metrics")
    return {name: float(value) for name, value in re.findall(r"^(stagecraft_backup\S*) (\S+)$", text, re.M)}


@pytest.fixture
def by_hand(host):
    """The timer rests, so that only the test asks."""
    host.check_output(f"systemctl stop {UNIT}.timer {UNIT}.service")
    yield
    # Forget how often it was started: quick tests are more than the five starts in ten seconds that systemd allows.
    host.check_output(f"systemctl reset-failed {UNIT}.timer; systemctl start {UNIT}.timer")


@contextmanager
def after(host, command, undo):
    host.check_output(command)
    try:
        yield
    finally:
        host.check_output(undo)


@pytest.fixture
def said(journal):
    """A function of a time: what the collector said since then."""
    return lambda since: journal(f"--unit {UNIT} --identifier python3 --since @{since}")


def test_the_newest_whole_backup_of_all_pages_is_shown(host):
    found = shown(host)
    assert found[f'{NEWEST}{{cluster="main"}}'] == 1795230245.5  # 2026-11-21T03:04:05.500Z
    assert abs(time.time() - found[ASKED]) < ENOUGH


def test_a_cluster_without_a_backup_has_no_time(host):
    assert [name for name in shown(host) if "empty" in name] == []


def test_the_timer_asks_again(host):
    before = shown(host)[ASKED]
    wait_for("the timer to ask again", lambda: shown(host)[ASKED] != before, ENOUGH)


def config(this, that):
    """Commands that put something else into the configuration, and that take it out again."""
    return [f"sed -i s,{one},{other}, /etc/backup-age/config.json" for one, other in ((this, that), (that, this))]


FOLDER = "/var/lib/backup-age/"
LISTENS = f"{CURL} --insecure --retry 30 --retry-delay 1 --retry-connrefused https://localhost:9444"


@pytest.mark.parametrize(
    ("command", "undo", "why"),
    [
        ("touch /srv/peer/refuse", "rm /srv/peer/refuse", "HTTP 403: Permission denied"),
        ("systemctl stop peer", f"systemctl start peer; {LISTENS}", "http://127.0.0.1:9080"),
        (*config("c9qempty", "c9qgone"), "backups of empty (c9qgone): HTTP 404"),
        (*config("localhost:9444", "127.0.0.2:9444"), "https://127.0.0.2:9444"),
        (*config(FOLDER, "/etc/backup-age/"), "Read-only file system: '/etc/backup-age/backup_age.new'"),
        (*config(FOLDER, "/var/lib/prometheus/node-exporter/"), "Read-only file system"),
    ],
    ids=["refused", "no metadata service", "no such cluster", "nobody there", "confined", "confined to its own folder"],
)
@pytest.mark.usefixtures("by_hand")
def test_a_failure_leaves_what_was_known_and_says_why(host, said, command, undo, why):
    host.check_output(f"systemctl start {UNIT}.service")
    before, since = shown(host), host.check_output("date +%s.%N")
    with after(host, command, undo):
        assert host.run(f"systemctl start {UNIT}.service").rc != 0
    (line,) = said(since).splitlines()
    assert line.startswith("backup-age: ") and why in line, line
    assert shown(host) == before
    host.check_output(f"systemctl start {UNIT}.service")
    assert shown(host)[ASKED] > before[ASKED]


@pytest.mark.usefixtures("by_hand")
def test_a_server_that_is_not_trusted_gets_no_token(host, said):
    """The certificate is for localhost, not for the other name that leads there."""
    since = host.check_output("date +%s.%N")
    with (
        after(
            host, "cp /etc/hosts /root/hosts; echo 127.0.0.1 elsewhere >> /etc/hosts", "cat /root/hosts > /etc/hosts"
        ),
        after(host, *config("localhost:", "elsewhere:")),
    ):
        assert host.run(f"systemctl start {UNIT}.service").rc != 0
    assert "certificate verify failed" in said(since)


def test_it_runs_as_nobody_else(host):
    assert host.file(f"{FOLDER}backup_age.prom").user == UNIT


def test_the_token_is_kept_nowhere(host, journal):
    assert "a-token-for-tests" not in journal()
    assert host.run("grep -rF a-token-for-tests /var/lib/backup-age /etc").stdout == ""

"""Who is told of what: from a target that stops to the receiver, and back."""

import json

from waiting import wait_for

CURL = "curl --silent --show-error --max-time 10"
URL = "https://$(hostname):9093"
PASSWORD = "an-alerting-password"
TOKEN = "a-token-for-tests"
ENOUGH = 90  # seconds; Prometheus repeats an alert whose first sending failed after a minute


def get(host, path):
    return json.loads(host.check_output(f'{CURL} --user alertmanager:{PASSWORD} "{URL}/api/v2/{path}"'))


def told(host):
    """Everything that the receiver was told so far."""
    return [json.loads(line) for line in host.run("cat /srv/peer/told.jsonl").stdout.splitlines()]


def told_of(host, status):
    """The newest message about the target, once it says so."""

    def news():
        about = [message for message in told(host) if message["groupLabels"] == {"alertname": "TargetDown"}]
        return [message for message in about[-1:] if message["status"] == status]

    return wait_for(f"TargetDown is {status}", news, ENOUGH)[0]


def test_an_alert_is_told_when_it_fires_and_when_it_clears(host):
    host.check_output("rm -f /srv/peer/told.jsonl")
    try:
        host.check_output("systemctl stop peer@9998")
        message = told_of(host, "firing")
    finally:
        host.check_output("systemctl start peer@9998")
    assert message["authorization"] == f"Bearer {TOKEN}"
    (alert,) = message["alerts"]
    assert alert["labels"] == {
        "alertname": "TargetDown", "job": "coming_and_going", "instance": "localhost:9998", "severity": "critical",
        "stage": "molecule",
    }  # fmt: skip
    assert alert["annotations"]["runbook_url"].endswith("/docs/alerts.md#targetdown")
    (alert,) = told_of(host, "resolved")["alerts"]
    assert alert["labels"]["instance"] == "localhost:9998"


def test_the_watchdog_is_shown_and_nobody_is_told(host):
    wait_for("Watchdog", lambda: "Watchdog" in {alert["labels"]["alertname"] for alert in get(host, "alerts")}, ENOUGH)
    assert {message["groupLabels"]["alertname"] for message in told(host)} <= {"TargetDown"}


def test_a_login_is_wanted(host):
    for user in ("", "--user alertmanager:wrong-password", f"--user other:{PASSWORD}"):
        assert host.check_output(f'{CURL} {user} -o /dev/null -w "%{{http_code}}" {URL}/api/v2/alerts') == "401"


def test_plain_http_old_tls_and_loopback_are_refused(host):
    assert "Alertmanager" not in host.run(f"{CURL} {URL.replace('https', 'http')}/").stdout
    assert host.run(f"{CURL} --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 {URL}/").rc == 35
    assert host.run(f"{CURL} --insecure https://127.0.0.1:9093/").rc == 7


def test_it_has_no_door_for_peers(host):
    doors = host.check_output("ss -Hlntue").splitlines()
    user = host.check_output("id -u prometheus")  # of Prometheus too
    assert sorted(door.split()[4].rpartition(":")[2] for door in doors if f" uid:{user} " in door) == ["9090", "9093"]


def test_secrets_are_nowhere_in_the_clear_for_others(host, journal):
    pid = host.check_output("systemctl show -p MainPID --value prometheus-alertmanager")
    said = journal() + host.check_output(f"tr '\\0' ' ' < /proc/{pid}/cmdline; cat /etc/prometheus-alertmanager/*.yml")
    assert PASSWORD not in said and TOKEN not in said
    for name in ("key.pem", "webhook-token", "alertmanager.yml"):
        assert host.run(f"su nobody -s /bin/sh -c 'cat /etc/prometheus-alertmanager/{name}'").rc != 0


def test_the_sandbox_holds(confined):
    confined("prometheus-alertmanager", "/etc/written", "/var/lib/prometheus/written")


def test_its_uptime_is_not_hidden_by_the_sandbox(host):
    assert "\nprocess_start_time_seconds " in host.check_output(
        f"{CURL} --retry 5 --retry-connrefused --user alertmanager:{PASSWORD} {URL}/metrics"
    )

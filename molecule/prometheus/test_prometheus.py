"""What Prometheus answers, and to whom."""

import base64
import json
import time
from pathlib import Path
from urllib.parse import quote

CURL = "curl --silent --show-error --max-time 10"
URL = "https://$(hostname):9090"
PASSWORD = "a-password-for-tests"


def get(host, path, url=URL):
    return json.loads(
        host.check_output(f'{CURL} --retry 9 --retry-connrefused --user prometheus:{PASSWORD} "{url}{path}"')
    )["data"]


def query(host, expression, url=URL):
    """The results of a query, which a server that has just started may need some seconds to have."""
    for _ in range(20):
        if found := get(host, f"/api/v1/query?query={quote(expression)}", url)["result"]:
            return {sample["metric"].get("job", ""): float(sample["value"][1]) for sample in found}
        time.sleep(0.5)
    return {}


def test_a_login_is_wanted(host):
    for user in ("", "--user prometheus:wrong-password", "--user other:a-password-for-tests"):
        assert host.check_output(f"{CURL} {user} -o /dev/null -w '%{{http_code}}' {URL}/api/v1/targets") == "401"


def test_it_watches_itself_and_says_who_is_down(host):
    assert query(host, "up") == {"prometheus": 1.0, "nobody": 0.0}


def test_labels_of_targets_arrive(host):
    assert query(host, 'up{floor="cellar"}') == {"nobody": 0.0}
    assert "stage: molecule" in get(host, "/api/v1/status/config")["yaml"]


def test_rules_are_evaluated_and_alerts_made(host):
    assert query(host, "molecule_two") == {"": 2.0}
    assert query(host, 'ALERTS{alertname="NobodyHome",alertstate="firing"}') == {"nobody": 1.0}
    (alert,) = [a for a in get(host, "/api/v1/alerts")["alerts"] if a["labels"]["alertname"] == "NobodyHome"]
    assert alert["annotations"]["summary"] == "127.0.0.1:1"
    groups = {rule["name"] for group in get(host, "/api/v1/rules")["groups"] for rule in group["rules"]}
    assert groups > {"Watchdog", "TargetDown", "CertificateExpires", "molecule_two", "NobodyHome"}


def test_alerts_fire_when_they_should_and_only_then(host):
    tests = base64.b64encode((Path(__file__).with_name("files") / "alerts.yml").read_bytes()).decode()
    host.check_output(f"echo {tests} | base64 -d > /tmp/alerts.yml")
    answer = host.run("promtool test rules /tmp/alerts.yml")
    assert answer.rc == 0 and "SUCCESS" in answer.stdout, answer.stdout + answer.stderr


def test_samples_arrive_at_another_server(host):
    """A second Prometheus, behind the same TLS and login, that scrapes nothing: what it knows was written to it."""
    far = "https://localhost:9999"
    host.check_output(
        "echo '{}' > /tmp/receiver.yml; systemd-run --unit=receiver --property=User=prometheus prometheus"
        " --config.file=/tmp/receiver.yml --storage.tsdb.path=/tmp/receiver --web.listen-address=127.0.0.1:9999"
        " --web.enable-remote-write-receiver --web.config.file=/etc/prometheus/web.yml"
    )
    try:
        host.check_output(f"{CURL} --retry 20 --retry-connrefused --retry-delay 1 -o /dev/null {far}")
        assert query(host, 'up{stage="molecule"}', far) == {"prometheus": 1.0, "nobody": 0.0}
    finally:
        host.check_output("systemctl stop receiver")


def test_only_who_is_told_to_takes_samples(host):
    write = f"{CURL} --user prometheus:{PASSWORD} -o /dev/null -w '%{{http_code}}' -X POST {URL}/api/v1/write"
    assert host.check_output(write) == "404"


def test_a_new_target_needs_no_restart(host):
    """Targets are files that Prometheus watches, which is why the role neither restarts nor reloads it for one."""
    file = "/etc/prometheus/targets/nobody.json"
    host.check_output(f"cp -p {file} /tmp/kept.json; sed 's/127.0.0.1:1/127.0.0.1:2/' /tmp/kept.json > {file}")
    try:
        for _ in range(40):
            if any(t["labels"]["instance"] == "127.0.0.1:2" for t in get(host, "/api/v1/targets")["activeTargets"]):
                break
            time.sleep(0.5)
        else:
            raise AssertionError("the new target was not taken")
    finally:
        host.check_output(f"cat /tmp/kept.json > {file}")


def test_plain_http_old_tls_and_loopback_are_refused(host):
    assert "<title>" not in host.run(f"{CURL} {URL.replace('https', 'http')}/").stdout
    assert host.run(f"{CURL} --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 {URL}/").rc == 35
    assert host.run(f"{CURL} --insecure https://127.0.0.1:9090/").rc == 7


def test_retention_is_what_was_asked(host):
    assert get(host, "/api/v1/status/flags")["storage.tsdb.retention.time"] == "15d"


def test_the_password_is_nowhere_in_the_clear_for_others(host, journal):
    pid = host.check_output("systemctl show -p MainPID --value prometheus")
    assert PASSWORD not in host.check_output(f"tr '\\0' ' ' < /proc/{pid}/cmdline; cat /etc/prometheus/web.yml")
    assert host.run("su nobody -s /bin/sh -c 'cat /etc/prometheus/passwords/prometheus'").rc != 0
    assert PASSWORD not in journal()


def test_a_restart_ends_in_time_while_samples_cannot_be_sent(host):
    """Debian's unit leaves a server that has not ended after 20 s running, and then none can be started."""
    assert host.run(f"{CURL} https://localhost:9999/").rc == 7
    host.check_output("timeout 20 systemctl restart prometheus")


def test_its_uptime_is_not_hidden_by_the_sandbox(host):
    assert "prometheus" in query(host, "process_start_time_seconds")


def test_the_sandbox_holds(confined):
    confined("prometheus", "/etc/written", "/var/lib/written")

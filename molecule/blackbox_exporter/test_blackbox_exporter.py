"""What the exporter finds out about servers by their handshake, what Prometheus makes of it, and who may ask."""

import json
from urllib.parse import quote

from waiting import wait_for

CURL = "curl --silent --show-error --max-time 10"
FOLDER = "/etc/prometheus-blackbox-exporter"
OWN = f"--cert {FOLDER}/certificate.pem --key {FOLDER}/key.pem"
URL = "https://$(hostname):9115/probe?module=tls"
SOON, LATE, ELSEWHERE, STRANGER, NOBODY = (f"localhost:{port}" for port in range(9441, 9446))
DAY = 86400


def query(host, expression):
    """Instances and values, as Prometheus has them."""
    url = f"https://$(hostname):9090/api/v1/query?query={quote(expression)}"
    found = json.loads(host.check_output(f'{CURL} --user prometheus:a-password-for-tests "{url}"'))["data"]["result"]
    return {sample["metric"]["instance"]: float(sample["value"][1]) for sample in found}


def firing(alert):
    return f'ALERTS{{alertname="{alert}",alertstate="firing"}}'


def test_a_certificate_that_ends_soon_makes_an_alert(host):
    wait_for("the alert", lambda: query(host, firing("CertificateExpires")).keys() == {SOON})
    left = query(host, "probe_ssl_earliest_cert_expiry - time()")
    assert 0 < left[SOON] < DAY < 21 * DAY < left[LATE] < 60 * DAY


def test_servers_without_a_good_certificate_make_another(host):
    """For another name, from nobody's authority, and not there at all."""
    wait_for("the alert", lambda: query(host, firing("ProbeFailed")).keys() == {ELSEWHERE, STRANGER, NOBODY})
    assert query(host, "probe_success") == {SOON: 1, LATE: 1, ELSEWHERE: 0, STRANGER: 0, NOBODY: 0}


def test_a_server_that_wants_a_certificate_is_shown_one(host):
    answer = host.check_output(f'{CURL} {OWN} "{URL}&target=$(hostname):9115"')
    assert "probe_success 1" in answer.splitlines()


def test_what_succeeds_leaves_no_line_in_the_journal(host, journal):
    assert query(host, "probe_success")[LATE] == 1
    assert f"target={LATE}" not in journal("-u prometheus-blackbox-exporter")


def test_nobody_probes_without_a_certificate(turned_away):
    turned_away(f'{CURL} "{URL}&target={LATE}"')


def test_plain_http_old_tls_and_loopback_are_refused(host):
    assert "probe_" not in host.run(f'{CURL} "{URL.replace("https", "http")}&target={LATE}"').stdout
    assert host.run(f'{CURL} {OWN} --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 "{URL}"').rc == 35
    assert host.run(f"{CURL} --insecure {OWN} https://127.0.0.1:9115/metrics").rc == 7


def test_the_sandbox_holds(host, confined):
    confined("prometheus-blackbox-exporter", "/etc/written", "/var/lib/prometheus/written")
    assert host.run(f"su nobody -s /bin/sh -c 'cat {FOLDER}/key.pem'").rc != 0


def test_its_uptime_is_not_hidden_by_the_sandbox(host):
    metrics = URL.partition("/probe")[0] + "/metrics"
    assert "\nprocess_start_time_seconds " in host.check_output(f"{CURL} --retry 5 --retry-connrefused {OWN} {metrics}")

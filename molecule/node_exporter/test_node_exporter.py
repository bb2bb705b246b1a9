"""What the exporter answers, and to whom."""

CURL = "curl --silent --show-error --max-time 10"
OWN = "--cert /etc/prometheus-node-exporter/certificate.pem --key /etc/prometheus-node-exporter/key.pem"
URL = "https://$(hostname):9100/metrics"


def test_metrics_for_a_client_with_a_certificate(host):
    metrics = host.check_output(f"{CURL} {OWN} {URL}")
    assert f'nodename="{host.check_output("hostname")}"' in metrics
    assert "node_memory_MemTotal_bytes" in metrics
    assert "node_cpu_seconds_total" in metrics


def test_nothing_for_a_client_without_one(turned_away):
    turned_away(f"{CURL} {URL}")


def test_nothing_for_a_certificate_of_another_authority(host, turned_away):
    host.check_output(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=stranger -days 1"
        " -keyout /tmp/stranger.key -out /tmp/stranger.pem 2>/dev/null"
    )
    turned_away(f"{CURL} --cert /tmp/stranger.pem --key /tmp/stranger.key {URL}")


def test_plain_http_and_old_tls_are_refused(host):
    assert "node_" not in host.run(f"{CURL} {URL.replace('https', 'http')}").stdout
    assert host.run(f"{CURL} {OWN} --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 {URL}").rc != 0


def test_loopback_is_not_served(host):
    answer = host.run(f"{CURL} --insecure {OWN} https://127.0.0.1:9100/metrics")
    assert answer.rc == 7, answer.stderr


def test_a_new_certificate_needs_no_restart(host):
    """The exporter reads its certificate at every connection, which is why the role does not restart it for one."""
    folder = "/etc/prometheus-node-exporter"
    before = host.check_output("systemctl show -p MainPID --value prometheus-node-exporter")
    host.check_output(f"cp -p {folder}/certificate.pem /tmp/kept.pem; cp -p {folder}/key.pem /tmp/kept.key")
    try:
        host.check_output(f"cat /tmp/stranger.pem > {folder}/certificate.pem; cat /tmp/stranger.key > {folder}/key.pem")
        shown = host.run("openssl s_client -connect $(hostname):9100 </dev/null").stdout
        assert "CN=stranger" in shown.replace(" ", "")
    finally:
        host.check_output(f"cat /tmp/kept.pem > {folder}/certificate.pem; cat /tmp/kept.key > {folder}/key.pem")
    assert host.check_output("systemctl show -p MainPID --value prometheus-node-exporter") == before


def test_the_sandbox_holds(host, confined):
    confined("prometheus-node-exporter", "/etc/written", "/var/lib/prometheus/written")
    assert host.run("su nobody -s /bin/sh -c 'cat /etc/prometheus-node-exporter/key.pem'").rc != 0


def test_no_collector_is_hindered_by_the_sandbox(host):
    metrics = host.check_output(f"{CURL} --retry 5 --retry-connrefused {OWN} {URL}")
    for name in ("cpu", "filesystem", "loadavg", "meminfo", "netdev", "stat", "systemd", "timex", "uname"):
        assert f'node_scrape_collector_success{{collector="{name}"}} 1' in metrics, name

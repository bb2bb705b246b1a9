"""What the exporter knows of the database, and whom it tells."""

import re

from waiting import wait_for

CURL = "curl --silent --show-error --max-time 10"
FOLDER = "/etc/prometheus-postgres-exporter"
OWN = f"--cert {FOLDER}/certificate.pem --key {FOLDER}/key.pem"
URL = "https://$(hostname):9187/metrics"
PASSWORD = "a-watchers-password"


def metrics(host):
    return host.check_output(f"{CURL} --retry 5 --retry-connrefused {OWN} {URL}")


def shows(host, line, there=True):
    """Wait until there is such a line, or none any more."""
    wait_for(f"{line}: {there}", lambda: bool(re.search(line, metrics(host), re.MULTILINE)) is there, 20)


def psql(host, statement):
    return host.check_output(f'runuser -u postgres -- psql -p 6432 -Atc "{statement}"')


def test_it_sees_the_connections_of_others(host):
    """What another user does is shown to members of pg_monitor only: to others its state is nothing."""
    waiting = r'^pg_stat_activity_count\{.*datname="watched".*state="idle in transaction".*\} 1$'
    host.check_output(
        "systemd-run --unit=worker --setenv=PGPASSWORD=a-workers-password"
        " psql -h localhost -p 6432 -U worker watched -c begin -c '\\! sleep 300'"
    )
    try:
        shows(host, waiting)
        psql(host, "revoke pg_monitor from watcher")
        shows(host, waiting, there=False)
    finally:
        host.check_output("systemctl stop worker")
        psql(host, "grant pg_monitor to watcher")


def test_it_says_when_the_database_is_away_and_when_it_is_back(host):
    host.check_output("systemctl stop postgresql")
    try:
        shows(host, "^pg_up 0$")
    finally:
        host.check_output("systemctl start postgresql")
    shows(host, "^pg_up 1$")


def test_it_asks_over_tls_and_without_power(host):
    shows(host, "^pg_up 1$")
    query = "select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'watcher'"
    assert psql(host, query) == "t"
    assert psql(host, "select rolsuper or rolcreaterole or rolcreatedb from pg_roles where rolname = 'watcher'") == "f"


def test_a_database_that_shows_another_authoritys_certificate_is_not_asked(host, journal):
    folder = host.check_output("dirname /etc/postgresql/*/main/server.pem")
    host.check_output(f"cp -p {folder}/server.pem /tmp/kept.pem; cp -p {folder}/server.key /tmp/kept.key")
    try:
        host.check_output(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 1"
            " -addext subjectAltName=DNS:localhost -keyout /tmp/stranger.key -out /tmp/stranger.pem 2>/dev/null;"
            f"cat /tmp/stranger.pem > {folder}/server.pem; cat /tmp/stranger.key > {folder}/server.key;"
            "systemctl restart postgresql"
        )
        shows(host, "^pg_up 0$")
        assert "certificate signed by unknown authority" in journal("-u prometheus-postgres-exporter")
    finally:
        host.check_output(
            f"cat /tmp/kept.pem > {folder}/server.pem; cat /tmp/kept.key > {folder}/server.key; systemctl restart postgresql"
        )
    shows(host, "^pg_up 1$")


def test_nothing_for_a_client_without_a_certificate_or_of_another_authority(turned_away):
    for shown in ("", "--cert /tmp/stranger.pem --key /tmp/stranger.key"):
        turned_away(f"{CURL} {shown} {URL}")


def test_plain_http_old_tls_and_loopback_are_refused(host):
    assert "pg_" not in host.run(f"{CURL} {URL.replace('https', 'http')}").stdout
    assert host.run(f"{CURL} {OWN} --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 {URL}").rc == 35
    assert host.run(f"{CURL} --insecure {OWN} https://127.0.0.1:9187/metrics").rc == 7


def test_the_password_is_in_its_file_only(host, journal):
    pid = host.check_output("systemctl show -p MainPID --value prometheus-postgres-exporter")
    said = journal() + host.check_output(
        f"tr '\\0' ' ' < /proc/{pid}/cmdline; tr '\\0' ' ' < /proc/{pid}/environ;"
        "cat /etc/default/prometheus-postgres-exporter"
    )
    assert PASSWORD not in said and PASSWORD not in metrics(host)
    assert host.run(f"su nobody -s /bin/sh -c 'cat {FOLDER}/password'").rc != 0


def test_the_sandbox_holds(confined):
    confined("prometheus-postgres-exporter", "/etc/written", "/var/lib/prometheus/written")


def test_its_uptime_is_not_hidden_by_the_sandbox(host):
    assert "\nprocess_start_time_seconds " in metrics(host)

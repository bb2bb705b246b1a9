"""Prometheus sees every target, and counts the requests that were just made."""

import time
from collections import Counter
from urllib.parse import quote

QUERY = """
import base64, ssl, urllib.parse, urllib.request
context = ssl.create_default_context()
def get(path):
    request = urllib.request.Request(f"https://{given['name']}:9090{path}")
    request.add_header("Authorization", "Basic " + base64.b64encode(given["login"].encode()).decode())
    return json.load(urllib.request.urlopen(request, context=context, timeout=10))
print(json.dumps([get(path) for path in given["paths"]]))
"""
REFUSED = """
import ssl, urllib.error, urllib.request
try:
    urllib.request.urlopen(f"https://{given}:9090/api/v1/targets", context=ssl.create_default_context(), timeout=10)
    print(json.dumps(200))
except urllib.error.HTTPError as error:
    print(json.dumps(error.code))
"""


def ask(stage, *paths):
    (name,) = stage.machines("monitoring")
    login = f"prometheus:{stage.secret('prometheus', 'password')}"
    given = {"name": f"{name}.{stage.facts['domain']}", "login": login, "paths": paths}
    return [answer["data"] for answer in stage.ask(name, QUERY, given)]


def query(stage, expression):
    """The value of an instant query that has one."""
    (data,) = ask(stage, f"/api/v1/query?query={quote(expression)}")
    return float(data["result"][0]["value"][1]) if data["result"] else 0.0


def test_prometheus_wants_a_login(stage):
    (name,) = stage.machines("monitoring")
    assert stage.ask(name, REFUSED, f"{name}.{stage.facts['domain']}") == 401


def test_every_target_is_up(stage):
    deadline = time.monotonic() + 60
    while True:  # a fresh target is scraped within its interval
        (targets,) = ask(stage, "/api/v1/targets?state=active")
        health = {t["labels"]["job"] + " " + t["labels"]["instance"]: t["health"] for t in targets["activeTargets"]}
        if set(health.values()) == {"up"} or time.monotonic() > deadline:
            break
        time.sleep(2)
    assert set(health.values()) == {"up"}, {name: h for name, h in health.items() if h != "up"}
    machines = stage.facts["machines"]
    jobs = Counter(target.split()[0] for target in health)
    assert jobs == {
        "prometheus": 1, "alertmanager": 1, "postgres": 1, "triton": 1, "node": len(machines),
        "inference_api": len(stage.machines("backend")), "tls": len(machines) + len(stage.machines("edge")),
    }  # fmt: skip


def test_every_probed_server_shows_a_good_certificate(stage):
    probed = len(stage.machines()) + len(stage.machines("edge"))
    assert query(stage, "count(probe_success == 1)") == probed
    assert query(stage, "count(probe_ssl_earliest_cert_expiry > time() + 86400)") == probed


def test_the_database_is_watched(stage):
    """What a connection of somebody else does, members of pg_monitor see only; that there is one, everybody."""
    assert query(stage, "pg_up") == 1
    of_it, deadline = f'{{datname="{stage.facts["database"]["name"]}"}}', time.monotonic() + 60
    while True:  # connections come and go between two queries of the exporter
        seen = query(stage, f"sum(pg_stat_activity_count{of_it})")
        there = query(stage, f"sum(pg_stat_database_numbackends{of_it})")
        if seen >= there > len(stage.machines("backend")) or time.monotonic() > deadline:
            break
        time.sleep(2)
    assert seen >= there > len(stage.machines("backend"))


def test_the_age_of_the_databases_backups_is_known(stage):
    """The cloud makes one with the cluster, and one a day."""
    newest, deadline = (
        f'stagecraft_backup_newest_timestamp_seconds{{cluster="{stage.facts["database"]["cluster"]}"}}',
        time.monotonic() + 60,
    )
    while not (age := query(stage, f"time() - {newest}")) and time.monotonic() < deadline:
        time.sleep(2)  # a fresh target is scraped within its interval
    assert 0 < age < 26 * 3600


def test_requests_are_counted(stage, edge, key, heldout):
    counted = 'sum(inference_api_requests_total{model="digits",code="200"})'
    made, deadline = 25, time.monotonic() + 90
    before = query(stage, counted)
    for image in heldout[0][:made]:
        assert edge.post("/v1/predict/digits", headers=key, json={"inputs": [image]}).status_code == 200
    while (after := query(stage, counted)) < before + made and time.monotonic() < deadline:
        time.sleep(2)
    assert after >= before + made

"""Prometheus sees every target, and counts the requests that were just made."""

from collections import Counter
from urllib.parse import quote

from conftest import key_of, outside
from shared import PREDICT, heldout_of, until

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
    def seen():
        (targets,) = ask(stage, "/api/v1/targets?state=active")
        return {t["labels"]["job"] + " " + t["labels"]["instance"]: t["health"] for t in targets["activeTargets"]}

    health = until(seen, lambda health: set(health.values()) == {"up"})  # a fresh target is scraped within its interval
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
    of_it, backends = f'{{datname="{stage.facts["database"]["name"]}"}}', len(stage.machines("backend"))
    counts = [f"sum({name}{of_it})" for name in ("pg_stat_activity_count", "pg_stat_database_numbackends")]
    # Connections come and go between two queries of the exporter.
    seen, there = until(
        lambda: [query(stage, count) for count in counts], lambda found: found[0] >= found[1] > backends
    )
    assert seen >= there > backends


def test_the_age_of_the_databases_backups_is_known(stage):
    """The cloud makes one with the cluster, and one a day."""
    newest = f'stagecraft_backup_newest_timestamp_seconds{{cluster="{stage.facts["database"]["cluster"]}"}}'
    assert 0 < until(lambda: query(stage, f"time() - {newest}"), bool) < 26 * 3600


def counted(stage):
    """Makes some requests; how many more are counted a scrape later, and how many were made."""
    count, made = 'sum(inference_api_requests_total{model="digits",code="200"})', heldout_of(stage)[0][:25]
    before = query(stage, count)
    with outside(stage) as client:
        for image in made:
            assert client.post(PREDICT, headers=key_of(stage), json={"inputs": [image]}).status_code == 200
    return until(lambda: query(stage, count) - before, lambda more: more >= len(made), 90), len(made)


EARLY = {"counted requests": counted}


def test_requests_are_counted(begun):
    counted, made = begun["counted requests"].result()
    assert counted >= made

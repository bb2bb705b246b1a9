"""Alerts get from Prometheus to Alertmanager, and from there to the receiver; nobody else may send or read them."""

import time
from urllib.parse import quote, urlsplit

import pytest
from shared import until

ASK = """
import base64, ssl, urllib.error, urllib.request
request = urllib.request.Request(given["url"], json.dumps(given["body"]).encode() if "body" in given else None)
request.add_header("Authorization", "Basic " + base64.b64encode(given["login"].encode()).decode())
request.add_header("Content-Type", "application/json")
try:
    answer = urllib.request.urlopen(request, context=ssl.create_default_context(), timeout=10)
    print(json.dumps([answer.status, json.loads(answer.read() or b"null")]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, None]))
"""
# Stands where the webhook is, lets Alertmanager know of an alert, and hears what it tells.
RECEIVE = """
import base64, ssl, time, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
told = []
class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        told.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"])
        self.send_response(200)
        self.end_headers()
server = HTTPServer(("127.0.0.1", given["port"]), Receiver)
server.timeout = 1
request = urllib.request.Request(given["url"], json.dumps([{"labels": given["labels"]}]).encode())
request.add_header("Authorization", "Basic " + base64.b64encode(given["login"].encode()).decode())
request.add_header("Content-Type", "application/json")
urllib.request.urlopen(request, context=ssl.create_default_context(), timeout=10)
deadline = time.monotonic() + 60
while time.monotonic() < deadline and not any(alert["labels"] == given["labels"] for alert in told):
    server.handle_request()
print(json.dumps([alert["labels"] for alert in told]))
"""
PORTS = {"prometheus": 9090, "alertmanager": 9093}


def address(stage, product, path):
    (name,) = stage.machines("monitoring")
    return f"https://{name}.{stage.facts['domain']}:{PORTS[product]}{path}"


def login(stage, product):
    return f"{product}:{stage.secret(product, 'password')}"


def ask(stage, product, path):
    given = {"url": address(stage, product, path), "login": login(stage, product)}
    status, answer = stage.ask(stage.machines("monitoring")[0], ASK, given)
    assert status == 200, f"{given['url']}: {status}"
    return answer


@pytest.mark.parametrize("sent", [{}, {"body": [{"labels": {"alertname": "Forged"}}]}], ids=["read", "send"])
def test_alertmanager_wants_a_login(stage, sent):
    given = {"url": address(stage, "alertmanager", "/api/v2/alerts"), "login": "alertmanager:not the password", **sent}
    assert stage.ask(stage.machines("monitoring")[0], ASK, given) == [401, None]


def test_every_rule_can_be_evaluated(stage):
    def asked():
        groups = ask(stage, "prometheus", "/api/v1/rules?type=alert")["data"]["groups"]
        return {rule["name"]: (rule["health"], rule.get("lastError")) for group in groups for rule in group["rules"]}

    rules = until(asked, lambda rules: ("unknown", None) not in rules.values())  # as long as it has just started
    assert {name: said for name, said in rules.items() if said != ("ok", None)} == {}
    assert rules.keys() >= {
        "TargetDown", "ApiErrors", "ApiSlow", "DiskAlmostFull", "CertificateExpires", "ProbeFailed", "DatabaseDown",
        "BackupTooOld", "BackupAgeUnknown",
    }  # fmt: skip


def watchdogs(stage):
    """The labels of the alert that always fires, as Alertmanager shows it."""

    def asked():
        alerts = ask(stage, "alertmanager", "/api/v2/alerts")
        return [alert["labels"] for alert in alerts if alert["labels"]["alertname"] == "Watchdog"]

    # What Prometheus tells an Alertmanager that does not listen yet, it tells again after a minute and an interval.
    return until(asked, bool, 120)


def told(stage):
    """What is amiss with the telling of alerts: nothing, where it works. Where the webhook is on the monitoring machine,
    the check listens there itself; elsewhere nobody is woken for it."""
    webhook = urlsplit(stage.facts["alert_webhook_url"])
    if webhook.hostname == "127.0.0.1":
        labels = {"alertname": f"Verification{time.time_ns()}", "severity": "info"}  # a group of its own, told soon
        url = address(stage, "alertmanager", "/api/v2/alerts")
        given = {"url": url, "login": login(stage, "alertmanager"), "port": webhook.port, "labels": labels}
        heard = stage.ask(stage.machines("monitoring")[0], RECEIVE, given)
        return [] if labels in heard else [f"{labels} was not told, but {heard}"]
    failed = 'increase(alertmanager_notifications_failed_total{integration="webhook"}[1h]) > 0'
    return ask(stage, "prometheus", f"/api/v1/query?query={quote(failed)}")["data"]["result"]


EARLY = {"told alerts": told, "watchdogs": watchdogs}


def test_alerts_of_prometheus_arrive_at_alertmanager(stage, begun):
    assert begun["watchdogs"].result() == [{"alertname": "Watchdog", "severity": "none", "stage": stage.facts["stage"]}]


def test_the_receiver_is_told_or_no_telling_has_failed(begun):
    assert begun["told alerts"].result() == []

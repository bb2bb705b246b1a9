"""What Triton answers, to whom, and what becomes of models that are not what they should be."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from inside import BUCKET, ROOT, bucket, network_of, publish
from waiting import wait_for

NAME = "sc-molecule-triton"
STATE = Path(os.environ["STAGECRAFT_MOLECULE_STATE"])
TLS = STATE / "tls"
CLIENT = {"name": NAME, "ca": str(TLS / "ca.pem"), "key": str(TLS / f"{NAME}.key"), "pem": str(TLS / f"{NAME}.pem")}
SERVED = ["1", "2"]
CURL = "curl --silent --show-error --max-time 20"
OWN = "--cert /etc/triton/gateway/server.pem"


@pytest.fixture(scope="module")
def address(host):
    return host.check_output("hostname -I").split()[0]


@pytest.fixture
def ask(address):
    """Triton's answer to one call over gRPC, from inside the container's network."""

    def asked(call, version="", tls=CLIENT, port=8001):
        question = {"address": f"{address}:{port}", "tls": tls, "call": call, "version": version}
        command = [sys.executable, Path(__file__).with_name("probe.py"), STATE / "digits", json.dumps(question)]
        with network_of(NAME):
            done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return asked


@pytest.fixture
def metrics(host, address):
    """curl's result for /metrics at the gateway."""

    def got(options=OWN, scheme="https", path="/metrics"):
        return host.run(f"{CURL} {options} --resolve {NAME}:9102:{address} {scheme}://{NAME}:9102{path}")

    return got


def sync(host, *options):
    """model-sync as an administrator runs it: exit status and report."""
    answer = host.run(" ".join(["/usr/local/sbin/model-sync", *options]))
    return answer.rc, json.loads(answer.stdout)


def ready(ask):
    """The versions that serve; Triton also remembers those that it has refused or unloaded."""
    return sorted(version for version, state in ask("index").get("ok", {}).items() if state == "READY")


def test_both_versions_are_ready(ask):
    assert ready(ask) == SERVED


def test_the_shapes_are_what_was_declared(ask):
    expected = {"image": ["FP32", [-1, 64]], "label": ["INT64", [-1, 1]], "probabilities": ["FP32", [-1, 10]]}
    assert ask("shapes") == {"ok": expected}


def test_predictions_are_right(ask):
    """The same accuracy as the training measured, on images that no version has seen; no version named means the newest."""
    measured = json.loads((STATE / "digits" / "heldout.json").read_text())["accuracy"]
    assert {version: ask("accuracy", version)["ok"] for version in measured} == measured
    assert ask("accuracy")["ok"] == measured["2"] >= 0.95


@pytest.mark.parametrize("tls", [None, {**CLIENT, "key": None, "pem": None}], ids=["plain", "no certificate"])
def test_strangers_are_refused(ask, tls):
    assert ask("index", tls=tls)["code"] == "UNAVAILABLE"


def test_a_client_cannot_change_what_is_served(ask):
    """Loading a model sent along with the call would run its code."""
    for call in ("unload", "load"):
        assert ask(call)["code"] == "PERMISSION_DENIED"
    assert ready(ask) == SERVED


def test_metrics_over_tls(metrics, ask):
    def count():
        lines = metrics().stdout.splitlines()
        (line,) = [x for x in lines if x.startswith('nv_inference_count{model="digits",version="1"}')]
        return int(line.split()[-1])

    before = count()
    ask("accuracy", "1")
    assert count() == before + 360


def test_metrics_for_nobody_else(metrics):
    assert metrics(options="").rc != 0
    assert "nv_" not in metrics(scheme="http").stdout
    assert metrics(path="/v2").stdout.startswith("<html><body><h1>403")


def test_only_the_gateway_is_on_the_network(host, address):
    listening = {line.split()[3] for line in host.check_output("ss -Hltn").splitlines()}
    assert {entry for entry in listening if entry.startswith(address)} == {f"{address}:8001", f"{address}:9102"}
    for port in (8000, 8002):
        assert host.run(f"{CURL} http://{address}:{port}/metrics").rc == 7


def test_the_units_are_the_ones_that_start_at_boot(host):
    """HAProxy's package brings a unit of its own, which a boot must not start."""
    for unit, enabled in {"triton": 0, "triton-gateway": 0, "haproxy": 1}.items():
        assert host.run(f"systemctl is-enabled --quiet {unit}").rc == enabled, unit
        assert host.run(f"systemctl is-active --quiet {unit}").rc == 3 * enabled, unit


def test_a_bad_version_leaves_the_good_ones(host, ask, tmp_path):
    """Published, then changed in the bucket; then whole, but not a model; then withdrawn."""
    key, manifest = "models/digits/3/model.onnx", "models/manifest.json"
    with network_of(NAME):
        store = bucket()
        before = store.get_object(Bucket=BUCKET, Key=manifest)["Body"].read()
    built = tmp_path / "digits" / "3" / "model.onnx"
    built.parent.mkdir(parents=True)
    built.write_bytes(b"not a model at all")
    entry = {"sha256": hashlib.sha256(built.read_bytes()).hexdigest(), "size": built.stat().st_size}
    models = {"models": {"digits": {"versions": {"3": {"files": {"model.onnx": entry}}}}}}
    (tmp_path / "manifest.json").write_text(json.dumps(models))
    with network_of(NAME):
        done = publish(str(tmp_path))
    assert json.loads(done.stdout)["added"] == {"digits": ["3"]}, done.stderr
    try:
        with network_of(NAME):
            store.put_object(Bucket=BUCKET, Key=key, Body=b"not A model at all")
        status, report = sync(host)
        assert status == 1
        assert "s3://stage/models/digits/3/model.onnx has SHA-256" in report["error"]
        assert ready(ask) == SERVED
        with network_of(NAME):
            store.put_object(Bucket=BUCKET, Key=key, Body=built.read_bytes())
        assert sync(host, "--check")[1]["models"]["digits"]["downloaded"] == ["3"]
        status, report = sync(host)
        assert status == 1
        assert "the change was undone" in report["error"] and "InvalidProtobuf" in report["error"]
        assert ready(ask) == SERVED
        assert ask("accuracy")["ok"] >= 0.95
        assert host.check_output("ls /var/lib/model-sync/repository/digits").split() == ["1", "2", "config.pbtxt"]
    finally:
        with network_of(NAME):
            store.put_object(Bucket=BUCKET, Key=manifest, Body=before)
    assert sync(host) == (0, sync(host, "--check")[1])
    assert host.check_output(f"{CURL} --write-out '%{{http_code}}' http://127.0.0.1:8000/v2/health/ready") == "200"


def test_a_version_is_taken_out_and_put_back(host, ask):
    config = "/etc/model-sync/config.json"
    host.check_output(f"cp -p {config} /tmp/kept.json")
    try:
        settings = json.loads(host.file(config).content_string)
        settings["models"]["digits"]["versions"] = ["2"]
        host.check_output(f"cat > {config} <<'EOF'\n{json.dumps(settings)}\nEOF")
        assert sync(host)[1]["models"]["digits"]["removed"] == ["1"]
        assert ask("accuracy", "1")["code"] in ("UNAVAILABLE", "NOT_FOUND")
        assert ask("accuracy", "2")["ok"] >= 0.95
    finally:
        host.check_output(f"cp -p /tmp/kept.json {config}")
    assert sync(host)[1]["models"]["digits"]["downloaded"] == ["1"]
    assert ready(ask) == SERVED


def test_a_restart_needs_no_bucket_and_ends_in_time(host, ask):
    host.check_output("systemctl kill --signal=STOP bucket")
    try:
        began = time.monotonic()
        host.check_output("systemctl restart triton")
        assert time.monotonic() - began < 45
        wait_for("all models", lambda: ready(ask) == SERVED)
        assert ask("accuracy")["ok"] >= 0.95
    finally:
        host.check_output("systemctl kill --signal=CONT bucket")


@pytest.mark.parametrize("unit", ["triton", "triton-gateway", "model-sync"])
def test_units_are_confined(host, unit):
    exposure = host.check_output(f"systemd-analyze security --no-pager {unit} | tail -1")
    assert float(exposure.rsplit(":", 1)[1].split()[0]) < 2, exposure


def test_the_sandbox_holds(host):
    pid = host.check_output("systemctl show -p MainPID --value triton")
    look = ["podman", "exec", "--privileged", NAME, "nsenter", f"--target={pid}", "--mount"]
    answer = subprocess.run(
        [*look, "touch", "/etc/written", "/var/lib/model-sync/written"], capture_output=True, text=True
    )
    assert answer.returncode != 0 and answer.stderr.count("Read-only file system") == 2
    assert "CapEff:\t0000000000000000" in host.file(f"/proc/{pid}/status").content_string


def test_secrets_are_for_their_users_alone(host, journal):
    for path in ("/etc/triton/gateway/server.pem", "/etc/model-sync/credentials"):
        for user in ("nobody", "triton"):
            assert "Permission denied" in host.run(f"su {user} -s /bin/sh -c 'cat {path}'").stderr
    assert "serving-secret" not in journal() + host.check_output("ps axww; cat /etc/systemd/system/*.service")


def test_the_wheel_is_the_one_that_versions_names():
    wheel = yaml.safe_load((ROOT / "inventories" / "shared" / "versions.yml").read_text())["triton_wheel"]
    lock = (ROOT / "roles" / "triton" / "files" / "requirements-server.lock").read_text()
    assert f"{wheel['name']}=={wheel['version']} \\" in lock and f"--hash=sha256:{wheel['sha256']}" in lock

"""Components of the stages' playbooks where what they act on is wrong."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_runs import ROOT, calls, command, stack
from authority import Authority

CERTIFICATES = "certificatemanager.v1.Certificate"
IMAGE = "cr.yandex/crp9ftr22d26age3hulg/api:"
REGISTRY = "crpown"
OWN, DIGEST = f"cr.yandex/{REGISTRY}/inference-api", "sha256:" + "ab" * 32
KEY = "k" * 32
SKOPEO = """#!/bin/sh
[ ! -e "{folder}/refused" ] || {{ echo "denied" >&2; exit 1; }}
case "$1" in
list-tags) echo '{{"Tags": []}}' ;;
copy) for word in "$@"; do case "$word" in docker://*) echo "$word" >>"{folder}/copied" ;; esac; done ;;
esac
"""


@pytest.fixture
def component(variables, tmp_path):
    """Run some, one after the other, with these variables; the exit code and output."""

    def run(*names: str, **given: object) -> tuple[int, str]:
        told = tmp_path / "given.json"
        told.write_text(json.dumps({"checkout": str(ROOT), **given}))
        books = [ROOT / "playbooks" / "components" / f"{name}.yml" for name in names]
        done = subprocess.run(
            [command("ansible-playbook"), "-i", "localhost,", *books, "-e", f"@{told}"],
            cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    return run


def test_a_certificate_that_has_expired_is_named(component, play, cloud):
    zone = {"dns_zone": {"name": "public", "zone": "example.org.", "public": True}}
    certificate = {
        "certificatemanager_certificate": {"name": "api", "domains": ["api.example.org"], "challenge": "dns"}
    }
    proof = {"dns_zone": "public", "name": "_acme-challenge.api.example.org.", "type": "CNAME", "certificate": "api"}
    everything = [zone, certificate, {"dns_record_set": proof}]
    assert play(stack(everything)).code == 0
    given = {"domain": "api.example.org", "domain_zone": "example.org.", "dns_zones": {"public": {}}}
    given |= {"laid": {"results": []}, "cloud": {"results": []}}
    code, said = component("domain", "closing", **given)
    assert code == 0 and "expired on" not in said, said
    kind = cloud.cloud.kind(CERTIFICATES)
    (issued,) = cloud.cloud.all(CERTIFICATES)
    issued.not_after.FromJsonString("2020-01-02T00:00:00Z")
    kind.save(cloud.cloud, issued)
    code, said = component("domain", **given)
    expired = "api.example.org: its certificate has expired on 2020-01-02, so clients refuse it"
    assert code == 0 and expired in said, "what comes after it goes on"
    code, said = component("domain", "closing", **given)
    assert code and f"Everything was applied, and what is deployed serves. What is left to do: {expired}" in said, said
    assert "_acme-challenge.api.example.org" in said and "clear domain and domain_zone" in said


class Gateway:
    """An API behind TLS that answers as it is told, the last of that for ever; notes what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.told: list[int] = [200]
        self.asked: list[tuple[str, str]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                gateway.asked.append((self.path, self.headers["X-API-Key"]))
                self.rfile.read(int(self.headers["Content-Length"]))
                status = gateway.told.pop(0) if len(gateway.told) > 1 else gateway.told[0]
                body = b'{"outputs": {}}' if status == 200 else b"Out of order"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        pair = Authority(folder).issue("localhost")
        self.server, self.ca = ThreadingHTTPServer(("127.0.0.1", 0), Handler), str(folder / "ca.pem")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def models(self) -> list[str]:
        """Which were asked for since somebody looked last."""
        found = [path.rpartition("/")[2] for path, _ in self.asked]
        self.asked.clear()
        return found


@pytest.fixture
def gateway(tmp_path):
    made = Gateway(tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def registry(variables, tmp_path):
    """Where `skopeo` is only noted, and knows the tags in a file; what it was asked to copy."""
    program, noted = tmp_path / "bin" / "skopeo", tmp_path / "copied"
    program.parent.mkdir()
    program.write_text(SKOPEO.format(folder=tmp_path))
    program.chmod(0o755)
    variables["PATH"] = f"{program.parent}:{variables['PATH']}"
    return lambda: noted.read_text().split() if noted.exists() else []


@pytest.fixture
def deployed(play, gateway, tmp_path):
    """Deploy images, one after the other; what the components before have left when the last one was."""
    (tmp_path / "heldout.json").write_text(json.dumps({"images": [[0.0]]}))

    def run(*images: str) -> tuple[list[str], dict]:
        declared = [{"serverless_container": {"name": "api", "image": image, "memory": "128MB"}} for image in images]
        results = [run["results"][0] for run in play(*(stack([one]) for one in declared)).results]
        given = {
            "stage": "mvp",
            "__serving": {"results": results[-2:-1] or [{"exists": False}]},
            "cloud": {"results": results[-1:]},
            "laid": {"results": [{"registry": {"id": REGISTRY}}]},
            "stage_entry": {"hostname": f"localhost:{gateway.server.server_port}"},
            "stage_ca_file": gateway.ca,
            "containers": {"api": {"image": images[-1]}},
            "models": {"digits": {}, "letters": {}},
            "answers": {"in_a_row": 3, "wait": 1, "first_wait": 5},
            "models_folder": str(tmp_path),
            "stage_secrets": {"api-key-verify": {"api_key": KEY}},
        }
        return [result["container"]["revision_id"] for result in results], given

    yield run
    assert play(stack([{"serverless_container": {"name": "api"}}], state="absent")).code == 0


def serving(cloud) -> list[str]:
    revisions = cloud.cloud.all("serverless.containers.v1.Revision")
    return [revision.id for revision in revisions if revision.status == revision.ACTIVE]


def test_what_answers_500_to_everything_is_taken_back(component, cloud, gateway, deployed, registry):
    """A revision that its run has deployed is asked; the one from before it serves again, and the run fails."""
    (first, _), given = deployed(IMAGE + "1", IMAGE + "2")
    gateway.told = [500]
    code, said = component("answers", "closing", **given)
    assert code and "What was deployed does not answer: asked for predictions" in said, said
    assert "the last answer of digits was 500 Out of order" in said
    assert "What served before serves again" in said and KEY not in said
    assert serving(cloud) == [first] and registry() == []


def test_the_one_from_before_the_run_serves_not_the_newest(component, cloud, gateway, deployed):
    (first, bad, _), given = deployed(IMAGE + "1", IMAGE + "2", IMAGE + "3")
    given["__serving"]["results"][0]["container"]["revision_id"] = first
    gateway.told = [500]
    code, said = component("answers", **given)
    assert code and serving(cloud) == [first] != [bad], said


def test_what_never_answered_is_asked_by_the_next_run_and_tagged_when_it_does(
    component, cloud, gateway, deployed, registry
):
    asked = len(calls(cloud, "ContainerService.Rollback"))
    ids, given = deployed(OWN + "@" + DIGEST)
    gateway.told = [503]
    code, said = component("answers", "closing", **given)
    assert code and "There is nothing before it that could serve" in said and registry() == [], said
    given["__serving"] = given["cloud"]
    given["answers"]["wait"] = 1
    code, said = component("answers", "closing", **given)
    assert code and "What serves does not answer" in said and "`make rollback STAGE=mvp` lets the one before" in said
    assert registry() == [] and serving(cloud) == ids
    assert len(calls(cloud, "ContainerService.Rollback")) == asked
    gateway.told = [200]
    code, said = component("answers", "closing", **given)
    assert code == 0, said
    assert registry() == [f"docker://{OWN}@{DIGEST}", f"docker://{OWN}:served-{DIGEST[7:19]}"]


def test_each_model_answers_several_times_in_a_row(component, gateway, deployed):
    """The first answer may be of what served before, and a model may be missing."""
    _, given = deployed(IMAGE + "1")
    gateway.told = [200, 200, 200, 503, 200]
    code, said = component("answers", **given)
    assert code == 0, said
    assert gateway.models() == ["digits", "letters"] * 2 + ["digits", "letters"] * 3
    gateway.told = [200, 503] * 20
    given["answers"]["first_wait"] = 1
    code, said = component("answers", **given)
    assert code and "the last answer of letters was 503" in said, said


def test_only_images_of_its_own_registry_are_tagged_and_a_refusal_comes_last(component, deployed, registry, tmp_path):
    _, given = deployed(f"cr.yandex/crpsomebodyelses/{OWN.rpartition('/')[2]}@{DIGEST}")
    code, said = component("closing", **given)
    assert code == 0 and registry() == [], said
    _, given = deployed(f"{OWN}@{DIGEST}")
    (tmp_path / "refused").touch()
    code, said = component("closing", **given)
    assert code and "Everything was applied, and what is deployed serves." in said, said
    assert "is not tagged as one that has served; the next run tags it" in said and "denied" in said

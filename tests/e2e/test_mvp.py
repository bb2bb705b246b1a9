"""The mvp stage, from nothing to verified predictions and back to nothing, by the commands that a person types."""

from __future__ import annotations

import json
import os
import re
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import gitlab_ci
import httpx
import pytest
import yaml
from asking import Client, api_key
from commands import ROOT, a_machine_of_our_own, inside, journal, printed_curl, stagecraft
from sdk_calls import Caller, key_of
from stage_buckets import kept, publish
from token_exchange import Exchange

from rehearsal import environment, places
from rehearsal.cloud.identity import Identity
from rehearsal.cloud.store import Store
from rehearsal.serverless.instances import LABEL
from rehearsal.world import shell
from stagecraft import push

pytestmark = [pytest.mark.root, pytest.mark.slow]
STAGE = "mvp"
INVOKER = "serverless-containers.containerInvoker"
ROLLBACK_LIMIT = 10  # seconds
ASKED = 60
LOOKS_EVERY = 30  # seconds, for new versions of the model; application.yml says so


@pytest.fixture(scope="module", autouse=True)
def _a_machine_of_our_own(tmp_path_factory):
    yield from a_machine_of_our_own(STAGE, tmp_path_factory.mktemp("state"))


def test_rehearse_ends_with_the_line_it_promises():
    last = stagecraft("rehearse", STAGE).strip().splitlines()[-1]
    said = re.fullmatch(r"mvp: rehearsed in \d+s, 0 hosts, (\d+) checks passed, second run changed (\d+)", last)
    assert said, last
    assert int(said[1]) >= 10 and int(said[2]) == 0
    assert ": 0 differ from what was applied at" in stagecraft("drift", STAGE)


def test_the_printed_curl_line_answers():
    answer = printed_curl(STAGE)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert len(yaml.safe_load(answer.stdout)["outputs"]["label"]) == 1


def instances() -> list[str]:
    """The containers in which the application runs."""
    chosen = [f"--filter=label={label}" for label in (places.Place(STAGE).label, LABEL)]
    return shell.podman("ps", "--quiet", *chosen).split()


def test_what_was_answered_is_kept_though_its_instance_is_killed_at_once():
    client = Client(STAGE)
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: client.ask(), range(ASKED)))
    running = instances()
    asked = ("inspect", "--format", "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}}", *running)
    assert set(shell.podman(*asked).splitlines()) == {"true 65532:65532"}, "it needs no root to write to"
    shell.podman("kill", "--signal", "KILL", *running)
    assert [status for status, _ in answers] == [200] * ASKED
    wanted = {answer["id"]: answer["outputs"] for _, answer in answers}
    rows = [(row["id"], json.loads(row["output"])) for row in kept(STAGE) if row["id"] in wanted]
    assert len(rows) == ASKED and dict(rows) == wanted
    assert client.ask()[0] == 200, "another instance starts"


def test_a_check_changes_nothing_and_reads_no_secret():
    before = len(journal(STAGE).splitlines())
    assert "would change 0" in stagecraft("apply", STAGE, "--check").strip().splitlines()[-1]
    entries = [json.loads(line) for line in journal(STAGE).splitlines()[before:]]
    asked = [entry["method"] for entry in entries if "method" in entry]
    assert any(method.endswith("SecretService.Get") for method in asked)
    assert not [method for method in asked if "PayloadService" in method]


READ = """
import sys
from ansible_collections.stagecraft.platform.plugins.module_utils.session import Session
from ansible_collections.stagecraft.platform.plugins.module_utils.yandex import SECRET
owner, reader = Session.from_options(), Session.from_options({"service_account_key_file": sys.argv[1]})
for name in sys.argv[2:]:
    try:
        print(name, sorted(reader.payload(owner.resolve(SECRET, {"name": name}))))
    except Exception as error:
        print(name, error)
"""


def test_the_container_s_account_reads_its_own_secret_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}/collections", prepend=os.pathsep)
    names = ("app-storage-key", "release-storage-key", "api-key-verify")
    with Caller(environment.netns(STAGE), environment.environment(STAGE)) as cloud:
        accounts = cloud("iam.v1.ServiceAccountService.List", folder_id=cloud.folder)["service_accounts"]
        app = next(account["id"] for account in accounts if account["name"] == "app")
        roles = cloud("resourcemanager.v1.FolderService.ListAccessBindings", resource_id=cloud.folder)
        assert app not in [binding["subject"]["id"] for binding in roles["access_bindings"]]
        with key_of(cloud, app, tmp_path) as key:
            said = inside(STAGE, sys.executable, "-c", READ, key, *names)
    own, release, api_key = said.stdout.strip().splitlines()
    assert own == "app-storage-key ['key_id', 'secret']", said.stderr
    assert "PERMISSION_DENIED" in release and "PERMISSION_DENIED" in api_key


def declare(**options: object) -> str:
    """Change options of the stage's container, as somebody who is not its playbook would; the container's URL."""
    words = ("-m", "stagecraft.platform.yc_serverless_container", "-a", json.dumps({"name": "api", **options}))
    done = inside(STAGE, sys.executable, "-m", "ansible", "adhoc", "localhost", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return re.search(r"https://\w+\.containers\.yandexcloud\.net/", done.stdout)[0]


def test_a_public_container_is_guarded_by_its_keys():
    """Whom the platform lets in, the application asks for a key."""
    client, cloud = Client(STAGE), environment.environment(STAGE)
    trusted = ssl.create_default_context(cafile=cloud["YC_ROOT_CERTIFICATES"])

    def ask(url: str, **headers: str) -> httpx.Response:
        with shell.entered(places.Place(STAGE).netns("internet")), httpx.Client(verify=trusted, timeout=60) as visitor:
            return visitor.post(url.rstrip("/") + client.path, content=client.body, headers=headers)

    mine = [{"role": INVOKER, "service_account": "gateway"}]
    try:
        url = declare(access=[*mine, {"role": INVOKER, "everybody": "all_users"}])
        for headers in ({}, {"X-API-Key": "k" * 64}):
            answer = ask(url, **headers)
            assert answer.status_code == 401 and answer.headers["content-type"] == "application/problem+json"
        answer = ask(url, **{"X-API-Key": client.key})
        assert answer.status_code == 200 and len(answer.json()["outputs"]["label"]) == 1
    finally:
        url = declare(access=mine)
    assert ask(url, **{"X-API-Key": client.key}).status_code == 403


@pytest.fixture
def pipeline(tmp_path):
    """Change a copy of this checkout, commit it, and run jobs of its pipeline as a runner would that reaches the stage's
    cloud. The images that it builds go afterwards."""
    folder, place, images = gitlab_ci.copied(tmp_path / "checkout"), places.Place(STAGE), set[str]()
    identity, cloud = Identity(Store(place.cloud / "cloud.sqlite"), set()), environment.environment(STAGE)
    with shell.entered(place.netns("internet")):
        exchange = Exchange(gitlab_ci.account(cloud), lambda account: identity.grant(account)[0])
    variables = gitlab_ci.environment(cloud, exchange)

    def run(*jobs: str, **changes: tuple[str, str]) -> gitlab_ci.Pipeline:
        for module, (old, new) in changes.items():
            file = folder / "apps/inference_api/src/inference_api" / f"{module}.py"
            assert old in file.read_text()
            file.write_text(file.read_text().replace(old, new))
        if changes:
            gitlab_ci.commit(folder)
        with shell.entered(place.netns("internet")):
            done = gitlab_ci.run(folder, variables, *jobs)
        images.update(json.loads(note.read_text())["id"] for note in folder.rglob("build/image/inference-api.json"))
        return done

    yield run
    exchange.stop()
    shell.podman("rmi", "--force", "--ignore", *images)


def test_the_pipeline_deploys_verifies_and_goes_back(pipeline):
    """The jobs of this checkout's own pipeline. That lint and tests come first is tests/contract/delivery's to show."""
    jobs = ("build-image", f"deploy:{STAGE}", f"verify:{STAGE}")
    with Client(STAGE) as client:
        before = serving(client)
        done = pipeline(*jobs, __init__=(before, f"{before}.post1"))
        assert done.code == 0 and done.results == dict.fromkeys(jobs, "PASS"), done.output
        assert done.before(jobs[0], jobs[1]) and done.before(jobs[1], jobs[2])
        assert serving(client) == f"{before}.post1"

        done = pipeline(*jobs, __main__=("gc.disable()", "raise SystemExit('this release cannot start')"))
        assert done.code == 1 and done.results == {jobs[0]: "PASS", jobs[1]: "FAIL"}, done.output
        assert "this release cannot start" in done.output and "goes on serving" in done.output
        assert serving(client) == f"{before}.post1"

        done = pipeline(f"rollback:{STAGE}")
        assert done.code == 0 and done.results == {f"rollback:{STAGE}": "PASS"}, done.output
        assert int(re.search(r"mvp: rolled back in (\d+)s, changed 1", done.output)[1]) < ROLLBACK_LIMIT
        assert serving(client) == before
    assert client.failures == [] and client.answered > 20 and client.repeated == 0


def serving(client: Client) -> str:
    """The version that the API says it is."""
    status, body = client.get("/v2")
    assert status == 200, body
    return body["version"]


def test_what_starts_and_does_not_answer_is_taken_back(tmp_path):
    declared = yaml.safe_load((ROOT / "inventories/mvp/group_vars/all/application.yml").read_text())["containers"]
    declared["api"]["environment"]["INFERENCE_API_MODELS_URL"] = "s3://{{ bucket }}/nowhere"
    (tmp_path / "given.json").write_text(json.dumps({"containers": declared}))
    command = (sys.executable, "-m", "ansible", "playbook", "playbooks/mvp.yml", "-e", f"@{tmp_path}/given.json")
    done = inside(STAGE, *command)
    said = " ".join(done.stdout[done.stdout.find("What was deployed does not answer") :].split())
    assert done.returncode and "the last answer of digits was 503" in said, done.stdout[-5000:] + done.stderr
    assert "What served before serves again. The container's last lines:" in said
    assert re.search(r'"ERROR".*no model can be served: .*/nowhere/', said.partition("last lines:")[2]), said
    client = Client(STAGE)
    assert client.ask()[0] == 200
    assert client.key not in done.stdout
    assert "changed 0" in stagecraft("apply", STAGE).strip().splitlines()[-1]


def test_what_has_served_is_tagged_in_the_registry():
    with Caller(environment.netns(STAGE), environment.environment(STAGE)) as cloud:
        (registry,) = cloud("containerregistry.v1.RegistryService.List", folder_id=cloud.folder)["registries"]
        images = cloud("containerregistry.v1.ImageService.List", registry_id=registry["id"])["images"]
        containers = cloud("serverless.containers.v1.ContainerService.List", folder_id=cloud.folder)["containers"]
        revisions = cloud("serverless.containers.v1.ContainerService.ListRevisions", container_id=containers[0]["id"])
    tags = {image["digest"]: image["tags"] for image in images}
    (serving,) = [r["image"]["image_digest"] for r in revisions["revisions"] if r["status"] == "ACTIVE"]
    short = serving.removeprefix("sha256:")[:12]
    assert tags[serving] == [short, f"{push.SERVED}{short}"]


def test_the_api_key_is_made_anew_and_no_client_sees_it():
    with Client(STAGE) as client:
        stagecraft("rotate", STAGE, "api-keys")
    assert client.failures == [] and client.answered > 20 and client.repeated == 0
    assert api_key(client.state) != client.key, "the API key is the old one"
    assert client.ask(api_key(client.state))[0] == 200 and client.ask()[0] == 200, (
        "the new and, in its grace, the old one"
    )
    assert "changed 0" in stagecraft("apply", STAGE).strip().splitlines()[-1]
    with pytest.raises(AssertionError, match="is from before a rotation: it has another INFERENCE_API_KEYS"):
        stagecraft("rollback", STAGE)
    assert client.ask(api_key(client.state))[0] == 200, "what serves is what served"


def test_a_name_of_its_own_with_a_certificate():
    name = "api.mvp.example.org"
    given = ("-e", f"domain={name}", "-e", "domain_zone=example.org.")
    stagecraft("apply", STAGE, *given)
    client = Client(STAGE)
    client.host = name
    assert client.ask()[0] == 200, "the gateway answers there, with a certificate for that name"
    assert Client(STAGE).ask()[0] == 200, "and by its own name"
    assert "changed 0" in stagecraft("apply", STAGE, *given).strip().splitlines()[-1]
    stagecraft("apply", STAGE, "-e", "prune=true")
    with pytest.raises(ssl.SSLError):
        client.ask()
    assert Client(STAGE).ask()[0] == 200, "by its own name it answers whatever becomes of another"
    assert "changed 0" in stagecraft("apply", STAGE).strip().splitlines()[-1]


def test_who_plans_needs_no_more_than_to_look(tmp_path):
    """As a pipeline's job does that runs code which nobody has reviewed."""
    with Caller(environment.netns(STAGE), environment.environment(STAGE)) as cloud:
        planner = cloud.create("iam.v1.ServiceAccountService", name="planner")["id"]
        auditor = {"role_id": "auditor", "subject": {"id": planner, "type": "serviceAccount"}}
        change = {"resource_id": cloud.folder, "access_binding_deltas": [{"action": "ADD", "access_binding": auditor}]}
        cloud("resourcemanager.v1.FolderService.UpdateAccessBindings", **change)
        with key_of(cloud, planner, tmp_path) as key:
            command = (sys.executable, "-m", "ansible", "playbook", "playbooks/mvp.yml", "--check")
            done = inside(STAGE, "env", f"YC_SERVICE_ACCOUNT_KEY_FILE={key}", *command)
        cloud("iam.v1.ServiceAccountService.Delete", service_account_id=planner)
    assert done.returncode == 0 and re.search(r"localhost .* changed=0 ", done.stdout), (
        done.stdout[-3000:] + done.stderr
    )


def test_a_new_version_is_served_by_the_same_instance_to_somebody_who_asks_seldom(tmp_path):
    """Between requests the instance gets no time: the next one has to find the version, or one later on a busy machine."""
    client = Client(STAGE)
    assert client.ask()[1]["version"] == "2"
    before = instances()
    publish(STAGE, "3", tmp_path)
    served: list[str] = []
    while len(served) < 3 and "3" not in served:
        time.sleep(LOOKS_EVERY + 1)
        status, answer = client.ask()
        assert status == 200, answer
        served.append(answer["version"])
    assert served[-1] == "3" and client.ask()[1]["version"] == "3", served
    assert set(instances()) <= set(before)


def test_destroy_leaves_nothing_and_twice_is_fine():
    pulled = set(places.Place(STAGE).pulled.read_text().split())
    line = stagecraft("destroy", STAGE).strip().splitlines()[-1]
    assert re.fullmatch(r"mvp: destroyed in \d+s, 0 resources left, 0 containers left", line), line
    images = json.loads(shell.podman("images", "--format", "json"))
    assert pulled and not pulled & {name for image in images for name in image.get("Names") or ()}
    assert stagecraft("destroy", STAGE).strip() == "mvp: destroyed in 0s, 0 resources left, 0 containers left"

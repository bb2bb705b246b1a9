"""`stagecraft export`: a folder that somebody else built becomes declarations which change nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs.stack import flat
from engine_runs import VARIABLES, Engine
from foreign_folder import fill
from yandex.cloud.compute.v1.image_pb2 import Image

from rehearsal.cloud import server
from rehearsal.cloud.services.serverless_containers import REVISION, revisions
from stagecraft.export import Export
from stagecraft.schema import inventories

LEAVER = "aje00000000000leaver"  # a service account that is gone
ROOT = Path(__file__).parents[3]


class Loader(yaml.SafeLoader):
    """Reads the file as Ansible does: text that is marked unsafe is text."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """Another's folder: its cloud, and what was made by name."""
    emulator = server.start(tmp_path_factory.mktemp("cloud"))
    folder = fill(Engine.at(emulator).session)
    image = Image(
        id="fd8customofsomebody", folder_id=folder.session.folder, name="golden"
    )  # a kind that has no options
    emulator.cloud.kind("compute.v1.Image").save(emulator.cloud, image)
    # From a time when two cores took less memory: each option may be, together they are refused.
    (greedy,) = revisions(emulator.cloud, folder.ids["greedy"])
    greedy.resources.memory = 1 << 30
    emulator.cloud.kind(REVISION).save(emulator.cloud, greedy)
    for where, role in ((folder.ids["chatter"], "logging.reader"), (folder.session.folder, "auditor")):
        emulator.cloud.identity.bind(where, role, "serviceAccount", LEAVER)
    yield Engine.at(emulator), folder
    emulator.stop()


@pytest.fixture
def empty(tmp_path):
    emulator = server.start(tmp_path / "empty")
    yield Engine.at(emulator)
    emulator.stop()


@pytest.fixture(scope="module")
def exported(there, tmp_path_factory):
    """The file that the command writes: its text, and what it declares."""
    place = tmp_path_factory.mktemp("export") / "shop"
    done = export(there[0], "--to", str(place))
    assert done.returncode == 0, done.stderr
    text = (place / "resources.yml").read_text()
    return text, yaml.load(text, Loader)["stage_resources"], done.stdout


def variables(engine: Engine) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("YC_", "ANSIBLE_")) and k != "STAGE"}
    return own | engine.cloud.env | {"YC_METADATA_ADDR": "127.0.0.1:9", "STAGECRAFT_STATE": "/nonexistent"}


def export(engine: Engine, *arguments: str, folder: str = "", **more: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "stagecraft", "export", folder or engine.session.folder, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=variables(engine) | more, capture_output=True, text=True)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_every_kind_is_exported(exported):
    assert set(exported[1]) == {resource.kind for resource in ALL if not resource.same_as}


def test_ansible_applies_it_and_changes_nothing(there, exported, tmp_path):
    engine, before = there[0], len(there[0].calls())
    (tmp_path / "resources.yml").write_text(exported[0])
    tasks = [{"stagecraft.platform.yc_stack": {"resources": "{{ stage_resources }}"}, "register": "done"},
             {"ansible.builtin.assert": {"that": ["done is not changed"]}}]  # fmt: skip
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": "resources.yml",
        "tasks": tasks,
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(tmp_path / "play.yml")]
    quiet = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    done = subprocess.run(command, cwd=tmp_path, env=variables(engine) | quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert engine.calls()[before:] == []


def test_what_is_built_from_it_elsewhere_is_exported_alike(exported, empty, tmp_path):
    declared = json.loads(json.dumps(exported[1]))
    assert declared["serverless_container"]["shop"]["secrets"][0].pop("version")  # elsewhere there is no such one
    schedule = declared["compute_snapshot_schedule"]["weekly"]
    schedule["disks"] = ["attic-box"]  # the other one is a boot disk, named by its id
    expected = json.loads(json.dumps(declared))
    declared["lockbox_secret"] = {"keys": {}, **declared["lockbox_secret"]}
    declared["lockbox_secret"]["till"]["entries"] = [{"key": key, "text": "provided"} for key in ("pass", "pin")]
    for kind in ("iam_access_key", "iam_key", "iam_api_key"):
        for key in declared[kind]:
            secret = f"{kind}-{key['name']}".replace(" ", "-").replace("_", "-")
            declared["lockbox_secret"][secret] = {}
            key["save_to"] = {"secret": secret}
    for user in declared["postgresql_user"]:
        user["password"] = "provided-long-enough"
    empty.session.stage_labels = {}
    empty.build(flat(declared))
    assert export(empty, "--to", str(tmp_path / "again")).returncode == 0
    again = yaml.load((tmp_path / "again" / "resources.yml").read_text(), Loader)["stage_resources"]
    for kind in ("iam_access_key", "iam_key", "iam_api_key"):
        assert all(key.pop("save_to") for key in again[kind])
    for one in (expected, again):
        for key in one["iam_api_key"]:
            assert key.pop("valid_for")
        one["lockbox_secret"] = {n: v for n, v in one["lockbox_secret"].items() if n in exported[1]["lockbox_secret"]}
    assert again == expected


def test_references_are_by_name_and_defaults_are_left_out(exported):
    declared = exported[1]
    assert declared["compute_instance"]["counter"] == {
        "zone": "ru-central1-d", "platform": "standard-v2", "cores": 4, "memory": "8GB", "core_fraction": 50,
        "image": "debian-12", "disk_size": "15GB", "disk_type": "network-hdd", "auto_delete": False, "hostname": "till-1",
        "secondary_disks": [{"disk": "attic-box", "device_name": "box", "mode": "read_only"}],
        "network_interfaces": [{
            "subnet": "desks", "security_groups": ["right", "left"], "address": "192.168.7.77", "public_address": "door",
        }],
        "metadata": {"user-data": "#cloud-config\nruncmd: ['echo {{ not_ours }}']\n"},
        "preemptible": True, "service_account": "clerk",
    }  # fmt: skip
    first = [declared["vpc_security_group"][name]["rules"][0] for name in ("left", "right")]
    assert [rule["security_group"] for rule in first] == ["right", "left"]  # a circle
    assert declared["compute_snapshot"]["before-sale"] == {"labels": {"why": "sale"}, "instance": "counter"}
    assert declared["compute_disk"] == {"attic-box": {"zone": "ru-central1-d", "size": "11GB", "type": "network-hdd"}}
    assert len(declared["storage_bucket"]["shop-of-somebody-else"]["policy"]["Statement"]) == 2
    records = {row["name"]: row for row in declared["dns_record_set"]}
    assert records["till.shop.internal."]["instances"] == ["counter"]
    assert records["www.shop.example.org."]["api_gateway"] == ["gate"]
    assert records["text.shop.internal."]["data"] == ["v=1", "two words"]
    assert declared["serverless_container"]["shop"]["secrets"][0]["key"] == "pin"
    gate = declared["api_gateway"]["gate"]
    assert (gate["container"], gate["service_account"]) == ("shop", "zoe-bot")
    assert declared["postgresql_user"][1] == {"cluster": "ledger", "name": "bookkeeper"}


def test_what_is_not_said_is_listed(there, exported):
    text, ids = " ".join(exported[0].split("---")[0].replace("\n# ", " ").split()), there[1].ids
    for said in (
        "role viewer of userAccount aje00000000000person",
        "iam_service_account stagecraft: this runs as it",
        "it has no name: give it one to declare it",
        f"lockbox_secret till: kms_key_id: {ids['vault']}",
        "compute_instance counter: placement_policy.host_affinity_rules.values: host-7",
        "compute_instance counter: boot_disk: name: boot-of-counter",
        "serverless_container shop: description: a revision that is described",
        "compute_image golden: this kind cannot be declared",
        f"logging_log_group chatter: access: [{{'role': 'logging.reader', 'service_account': '{LEAVER}'}}] refers to",
        f"iam_folder_binding {LEAVER}/auditor: service_account: '{LEAVER}' refers to what is gone",
        "vpc_security_group default-sg-",
        "outer/shop.example.org./SOA: the cloud made it by itself",
        "compute_snapshot_schedule weekly: disks: ",
        "lockbox_secret till: entries (pass, pin)",
        "postgresql_user ledger/auditor, ledger/bookkeeper: password",
        "iam_access_key clerk/s3 uploads: save_to",
        "serverless_container greedy: it is left out: cores: 2 of them take at least 4 GB of memory",
        "- the cloud has no such service (UNIMPLEMENTED): ",
    ):
        assert said in text, said
    assert "greedy" not in exported[1]["serverless_container"]
    assert "not expressed: named at the top of the file" in exported[2]
    assert "kinds not listed: the cloud has no such service (UNIMPLEMENTED)" in exported[2]


def test_why_kinds_were_not_listed():
    denied = ["k8s_cluster", "ydb_database"]
    refused = dict.fromkeys(denied, "PERMISSION_DENIED") | {"alb_backend": "NOT_FOUND"}
    found = Export("b1gfolder", {"vpc_network": {"main": {}}}, [], [], [], refused)
    assert found.reasons == [
        ("NOT_FOUND", ["alb_backend"]),
        ("the account may not see them, or the service was never enabled (PERMISSION_DENIED)", denied),
    ]
    text = found.text().replace("\n#  ", "")
    assert all(f"{why}: {', '.join(kinds)}" in text for why, kinds in found.reasons)


def test_in_a_checkout_the_file_names_its_schema(there):
    with tempfile.TemporaryDirectory(dir=ROOT / "tests", prefix="export-") as place:
        done = export(there[0], "--to", place)
        assert done.returncode == 0, done.stderr
        file = Path(place) / "resources.yml"
        assert inventories.unnamed(file, inventories.VARIABLES) == ""
        schema = json.loads((ROOT / inventories.FOLDER / inventories.VARIABLES).read_text())
        # What is wrong by it is no more than what the file says is to be provided.
        lacking = [said.partition("stage_resources.")[2] for said in inventories.mistakes(file, schema)]
        assert {said.partition(".")[0] for said in lacking} <= {
            "iam_access_key",
            "iam_key",
            "iam_api_key",
            "postgresql_user",
        }
        assert all("save_to is missing" in said or "password" in said for said in lacking)


def test_no_secret_is_read_or_written(there, exported):
    assert "never" not in exported[0] and "PRIVATE KEY" not in exported[0]
    assert not [e for e in there[0].cloud.journal.entries() if e["method"].endswith("PayloadService.Get")]


def test_an_empty_folder_is_an_error_that_can_be_read(empty, tmp_path):
    done = export(empty, "--to", str(tmp_path / "out"))
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    said = f"There is nothing to declare in the folder {empty.session.folder} (what is there cannot be declared: iam_service"
    assert said in done.stderr


def test_a_folder_that_is_not_there(there, tmp_path):
    done = export(there[0], "--to", str(tmp_path / "out"), folder="b1g00000000000nobody")
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert "b1g00000000000nobody" in done.stderr and "Nothing was written" in done.stderr
    assert export(there[0], folder="../etc").returncode == 2


def test_an_account_without_rights(there, tmp_path):
    engine, folder = there
    made = folder.call("iam.v1.KeyService", "Create", service_account_id=folder.ids["a-courier"], description="")
    key = {"id": made.key.id, "service_account_id": folder.ids["a-courier"], "key_algorithm": "RSA_2048",
           "created_at": made.key.created_at.ToJsonString(), "public_key": made.key.public_key,
           "private_key": made.private_key}  # fmt: skip
    (tmp_path / "key.json").write_text(json.dumps(key))
    done = export(engine, "--to", str(tmp_path / "out"), YC_SERVICE_ACCOUNT_KEY_FILE=str(tmp_path / "key.json"))
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert "PERMISSION_DENIED" in done.stderr and "What to do" in done.stderr
    folder.call("iam.v1.KeyService", "Delete", key_id=made.key.id)


def test_no_credentials(there, tmp_path):
    nothing = {VARIABLES["service_account_key_file"]: ""}
    done = export(there[0], "--to", str(tmp_path / "out"), **nothing)
    assert done.returncode == 1 and "No credentials are set" in done.stderr


def test_what_is_there_is_not_overwritten_unasked(there, tmp_path):
    place = tmp_path / "resources.yml"
    place.write_text("mine")
    done = export(there[0], "--to", str(tmp_path))
    assert done.returncode == 2 and "is not empty" in done.stderr and place.read_text() == "mine"
    done = export(there[0], "--to", str(place), "--force")
    assert done.returncode == 2 and "is a file" in done.stderr
    done = export(there[0], "--to", str(tmp_path), "--force")
    assert done.returncode == 0 and place.read_text().startswith("# The folder b1g")
    assert [path.name for path in tmp_path.iterdir()] == ["resources.yml"] and place.stat().st_mode & 0o777 == 0o600

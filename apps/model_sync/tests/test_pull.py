"""Pulling: what is wanted is served, and whatever goes wrong leaves what served before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Desk, Machine, Neighbour, Storage

OBJECT = "digits/2/model.onnx"


@pytest.fixture
def first(desk: Desk, machine: Machine) -> Machine:
    """Version 1 is published and served."""
    desk.build("1", b"one")
    desk.publish()
    machine.pull()
    return machine


def test_published_versions_are_served(desk: Desk, machine: Machine, triton: Neighbour) -> None:
    desk.build("1", b"one")
    desk.build("2", b"two")
    desk.publish()
    predicted = machine.pull("--check")
    assert machine.tree() == {}
    report = machine.pull()
    assert report == predicted
    assert report == {
        "changed": True,
        "models": {"digits": {"downloaded": ["1", "2"], "removed": [], "loaded": True, "serving": ["1", "2"]}},
        "retired": [],
    }
    assert triton.serving() == {"1": b"one", "2": b"two"}
    assert machine.tree()["digits/config.pbtxt"].decode().endswith("version_policy { specific { versions: [1, 2] } }\n")


def test_as_a_program(first: Machine) -> None:
    first.want(["7"])
    with pytest.raises(RuntimeError, match="has no version 7"):
        first.pull()
    command = [sys.executable, "-m", "model_sync", "pull", "--config", str(first.folder / "config.json")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("model-sync: s3://stage/")


def test_again_changes_nothing(first: Machine, triton: Neighbour) -> None:
    loads = triton.loads
    assert first.pull()["changed"] is False
    assert first.pull("--check")["changed"] is False
    assert triton.loads == loads


def test_a_restarted_server_is_told_again(first: Machine, triton: Neighbour) -> None:
    triton.index.clear()
    assert first.pull()["models"]["digits"] == {"downloaded": [], "removed": [], "loaded": True, "serving": ["1"]}
    assert triton.serving() == {"1": b"one"}


def test_another_configuration_is_loaded(first: Machine) -> None:
    first.base.write_text(first.base.read_text() + "instance_group [ { count: 2 } ]\n")
    assert first.pull("--check")["models"]["digits"]["loaded"] is True
    assert first.pull()["models"]["digits"]["loaded"] is True
    assert b"count: 2" in first.tree()["digits/config.pbtxt"]


def test_a_version_that_is_not_wanted_goes_after_it_was_unloaded(desk: Desk, first: Machine, triton: Neighbour) -> None:
    desk.build("2", b"two")
    desk.publish()
    first.pull()
    first.want(["2"])
    report = first.pull()
    assert report["models"]["digits"]["removed"] == ["1"]
    assert triton.index["digits"]["1"][0] == "UNAVAILABLE"  # it waited for the end of UNLOADING
    assert sorted(first.tree()) == ["digits/2/model.onnx", "digits/config.pbtxt"]
    assert first.pull()["changed"] is False


def test_a_model_that_is_not_wanted_goes(first: Machine, triton: Neighbour) -> None:
    first.settings["models"] = {}
    assert first.pull()["retired"] == ["digits"]
    assert triton.serving() == {}
    assert first.tree() == {}


def test_a_spoilt_file_on_the_disk_is_repaired(first: Machine, triton: Neighbour) -> None:
    (first.repository / "digits" / "1" / "model.onnx").write_bytes(b"rot")
    assert first.pull()["models"]["digits"]["downloaded"] == ["1"]
    assert triton.serving() == {"1": b"one"}
    assert first.tree()["digits/1/model.onnx"] == b"one"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"TWO", "digits/2/model.onnx has SHA-256 .*, the manifest says"),
        (b"tw", "digits/2/model.onnx has 2 bytes, the manifest says 3"),
        (b"two and more", "digits/2/model.onnx has more than 3 bytes, the manifest says 3"),
        (None, "digits/2/model.onnx does not exist, though the manifest names it"),
    ],
)
def test_a_bad_object_leaves_the_old_version(
    desk: Desk, first: Machine, triton: Neighbour, storage: Storage, damage: bytes | None, message: str
) -> None:
    desk.build("2", b"two")
    desk.publish()
    if damage is None:
        storage.remove(f"{desk.prefix}/{OBJECT}")
    else:
        storage.overwrite(f"{desk.prefix}/{OBJECT}", damage)
    before, loads = first.tree(), triton.loads
    with pytest.raises(RuntimeError, match=message):
        first.pull()
    assert (first.tree(), triton.loads) == (before, loads)
    assert triton.serving() == {"1": b"one"}
    storage.overwrite(f"{desk.prefix}/{OBJECT}", b"two")
    first.pull()
    assert triton.serving() == {"1": b"one", "2": b"two"}


def test_a_version_that_triton_refuses_is_taken_out_again(desk: Desk, first: Machine, triton: Neighbour) -> None:
    desk.build("2", b"junk")
    desk.publish()
    before = first.tree()
    with pytest.raises(RuntimeError, match=r"digits: the change was undone.*InvalidProtobuf$"):
        first.pull()
    assert first.tree() == before
    assert triton.serving() == {"1": b"one"}


def test_a_first_version_that_triton_refuses_leaves_nothing(desk: Desk, machine: Machine) -> None:
    desk.build("1", b"junk")
    desk.publish()
    with pytest.raises(RuntimeError, match="InvalidProtobuf"):
        machine.pull()
    assert machine.tree() == {}


def test_a_version_that_was_never_published(first: Machine) -> None:
    first.want(["1", "7"])
    with pytest.raises(RuntimeError, match=r"models/digits has no version 7; published are: 1\."):
        first.pull()


def test_nothing_published(machine: Machine) -> None:
    with pytest.raises(RuntimeError, match=r"nothing is published there. Run model-sync publish first"):
        machine.pull()


@pytest.mark.parametrize("name", ["../escape", "a/b", ".hidden", ""])
def test_a_manifest_cannot_name_a_path(first: Machine, storage: Storage, desk: Desk, name: str) -> None:
    entry = {"sha256": "0" * 64, "size": 1}
    manifest = {"models": {"digits": {"versions": {"1": {"files": {name: entry}}}}}}
    storage.overwrite(f"{desk.prefix}/manifest.json", json.dumps(manifest).encode())
    with pytest.raises(RuntimeError, match=r"manifest.json is not a manifest: .*is not a file name"):
        first.pull()


def test_a_configuration_with_a_version_policy_is_refused(first: Machine) -> None:
    first.base.write_text(first.base.read_text() + "version_policy { all { } }\n")
    with pytest.raises(RuntimeError, match="version_policy of its own"):
        first.pull()


def test_a_server_that_is_down(first: Machine) -> None:
    first.settings["triton"] = {"url": "http://127.0.0.1:9", "timeout": 1}
    with pytest.raises(RuntimeError, match=r"Triton at http://127.0.0.1:9 does not answer.*waited 1 s"):
        first.pull()
    assert first.pull("--check")["models"]["digits"]["loaded"] is True


def test_the_result_file_holds_the_report_or_the_error(first: Machine) -> None:
    result = first.folder / "result.json"
    first.pull("--result", str(result))
    assert json.loads(result.read_text())["changed"] is False
    first.want(["7"])
    with pytest.raises(RuntimeError):
        first.pull("--result", str(result))
    assert "has no version 7" in json.loads(result.read_text())["error"]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda settings: settings.pop("store"), "the key 'store' is missing"),
        (lambda settings: settings["models"]["digits"].update(versions=[]), "give 'all' or a list of versions"),
    ],
)
def test_bad_settings(first: Machine, break_it: object, message: str) -> None:
    break_it(first.settings)
    with pytest.raises(RuntimeError, match=message):
        first.pull()

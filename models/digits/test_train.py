"""The model is what the stage promises: accurate, reproducible, with the inputs and outputs that Triton is told."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

TRAIN = Path(__file__).with_name("train.py")


def train(out: Path) -> str:
    done = subprocess.run([sys.executable, str(TRAIN), "--out", str(out)], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    train(folder)
    return folder


def made(folder: Path) -> tuple[list[str], str, dict[str, str]]:
    """Which files there are, the held-out images with the accuracies, and the source of each version."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    versions = json.loads((folder / "models" / "manifest.json").read_text())["models"]["digits"]["versions"]
    return names, (folder / "heldout.json").read_text(), {number: one["source"] for number, one in versions.items()}


def test_the_exported_models_are_accurate_on_images_they_have_not_seen(built: Path) -> None:
    heldout = json.loads((built / "heldout.json").read_text())
    images, labels = np.array(heldout["images"], dtype=np.float32), np.array(heldout["labels"])
    assert len(images) == len(labels) == 360
    accuracy = {}
    for number in ("1", "2"):
        session = onnxruntime.InferenceSession(built / "models" / "digits" / number / "model.onnx")
        predicted, probabilities = session.run(["label", "probabilities"], {"image": images})
        assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-4)
        accuracy[number] = float((predicted == labels).mean())
    assert accuracy == heldout["accuracy"]
    assert 0.95 <= accuracy["1"] < accuracy["2"]


@pytest.mark.parametrize("number", ["1", "2"])
def test_inputs_and_outputs(built: Path, number: str) -> None:
    graph = onnx.load(built / "models" / "digits" / number / "model.onnx").graph

    def shape(value: onnx.ValueInfoProto) -> tuple:
        tensor = value.type.tensor_type
        return (
            value.name,
            onnx.TensorProto.DataType.Name(tensor.elem_type),
            [d.dim_value or -1 for d in tensor.shape.dim],
        )

    assert [shape(value) for value in graph.input] == [("image", "FLOAT", [-1, 64])]
    assert [shape(value) for value in graph.output] == [("label", "INT64", [-1]), ("probabilities", "FLOAT", [-1, 10])]


def test_the_manifest_says_what_lies_there(built: Path) -> None:
    versions = json.loads((built / "models" / "manifest.json").read_text())["models"]["digits"]["versions"]
    for number, content in versions.items():
        model = (built / "models" / "digits" / number / "model.onnx").read_bytes()
        assert content["files"] == {"model.onnx": {"sha256": hashlib.sha256(model).hexdigest(), "size": len(model)}}
    assert sorted(versions) == ["1", "2"]


def test_a_version_s_source_changes_with_its_own_code_and_what_all_share(built: Path, tmp_path: Path) -> None:
    """Nothing but that decides whether a version that was trained again is still the published one."""

    def sources(*change: str) -> list[str]:
        code = TRAIN.with_name("classifiers.py").read_text()
        (tmp_path / "classifiers.py").write_text(code.replace(*change) if change else code)
        ask = "import classifiers; print(*map(classifiers.source, '12'))"
        done = subprocess.run(
            [sys.executable, "-c", ask],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": ""},
        )
        return done.stdout.split()

    as_it_is = sources()
    versions = json.loads((built / "models" / "manifest.json").read_text())["models"]["digits"]["versions"]
    assert as_it_is == [versions[number]["source"] for number in "12"]
    assert sources("# what every ONNX Runtime", "# what each ONNX Runtime") == as_it_is
    changed = sources("SVC(C=10", "SVC(C=11")
    assert changed[0] == as_it_is[0] and changed[1] != as_it_is[1]
    assert not set(sources("SEED = 2024", "SEED = 2025")) & set(as_it_is)


def test_another_run_makes_the_same_versions(built: Path, tmp_path: Path) -> None:
    """Of the same sources, as accurate, for the same held-out images. Their bytes may differ in a last digit."""
    train(tmp_path)
    assert made(tmp_path) == made(built)


def test_what_is_current_is_left_and_what_was_spoilt_is_made_again(built: Path, tmp_path: Path) -> None:
    train(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.onnx")}
    assert "digits: current" in train(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    (tmp_path / "models" / "digits" / "1" / "model.onnx").write_bytes(b"spoilt")
    assert "current" not in train(tmp_path)
    assert made(tmp_path) == made(built)
    assert "digits: current" in train(tmp_path)

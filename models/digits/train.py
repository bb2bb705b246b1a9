"""Train the digits model and export it: version 1 is linear, version 2 is a support vector machine.

    python models/digits/train.py --out DIR

writes DIR/models/manifest.json, DIR/models/digits/<version>/model.onnx and DIR/heldout.json. The data are the 1,797
UCI digits that come with scikit-learn; seed and split are fixed: the same libraries write the same bytes again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from importlib.metadata import version as installed
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

NAME = "digits"
SEED = 2024
HELD_OUT = 0.2  # share of the images that no version has seen
OPSET = {"": 17, "ai.onnx.ml": 3}  # what every ONNX Runtime since 1.12 reads
LIBRARIES = ("numpy", "onnx", "scikit-learn", "skl2onnx")
MINIMUM_ACCURACY = 0.95

Images = np.ndarray  # float32, [n, 64], grey levels 0 to 16
Labels = np.ndarray  # int64, [n]


def linear() -> ClassifierMixin:
    """Version 1: multinomial logistic regression."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def support_vectors() -> ClassifierMixin:
    """Version 2: a support vector machine with probabilities calibrated on folds."""
    machine = make_pipeline(StandardScaler(), SVC(C=10, gamma=0.01))
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=SEED)
    return CalibratedClassifierCV(machine, ensemble=False, cv=folds)


VERSIONS: dict[str, Callable[[], ClassifierMixin]] = {"1": linear, "2": support_vectors}


def split() -> tuple[Images, Images, Labels, Labels]:
    """Training images, held-out images, and their labels in the same order."""
    digits = load_digits()
    return train_test_split(
        digits.data.astype(np.float32),
        digits.target.astype(np.int64),
        test_size=HELD_OUT,
        random_state=SEED,
        stratify=digits.target,
    )


def export(model: ClassifierMixin) -> bytes:
    """The fitted model as ONNX: `image` FP32 [-1,64] to `label` INT64 [-1] and `probabilities` FP32 [-1,10]."""
    graph = skl2onnx.to_onnx(
        model,
        initial_types=[("image", FloatTensorType([None, 64]))],
        options={"zipmap": False},
        target_opset=OPSET,
        name=NAME,
    )
    names = [output.name for output in graph.graph.output]
    if names != ["label", "probabilities"]:
        raise SystemExit(f"{NAME}: the exporter named the outputs {names}, expected label and probabilities")
    for output in graph.graph.output:  # the exporter leaves the batch dimension of some outputs unset
        output.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(graph)
    return graph.SerializeToString(deterministic=True)


def accuracy(model: bytes, images: Images, labels: Labels) -> float:
    """Share of held-out images that the exported model, not the trained object, labels right."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (predicted,) = session.run(["label"], {"image": images})
    return float((predicted == labels).mean())


def recipe() -> str:
    """A digest of everything that decides the bytes: this file and the libraries that train and export."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for library in LIBRARIES:
        digest.update(f"{library}={installed(library)}\n".encode())
    return digest.hexdigest()


def is_current(out: Path) -> bool:
    """Whether `out` holds what this file and these libraries wrote before, unchanged."""
    try:
        if (out / "recipe").read_text().strip() != recipe() or not (out / "heldout.json").is_file():
            return False
        manifest = json.loads((out / "models" / "manifest.json").read_text())
        return all(
            hashlib.sha256((out / "models" / NAME / number / file).read_bytes()).hexdigest() == entry["sha256"]
            for number, content in manifest["models"][NAME]["versions"].items()
            for file, entry in content["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def build(out: Path) -> dict[str, float]:
    """Train, export and write every version; returns the held-out accuracy of each."""
    train_images, images, train_labels, labels = split()
    published: dict[str, dict] = {}
    accuracies: dict[str, float] = {}
    for number, make in VERSIONS.items():
        model = export(make().fit(train_images, train_labels))
        accuracies[number] = accuracy(model, images, labels)
        path = out / "models" / NAME / number / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model)
        entry = {"sha256": hashlib.sha256(model).hexdigest(), "size": len(model)}
        published[number] = {"files": {path.name: entry}}
    if not MINIMUM_ACCURACY <= accuracies["1"] < accuracies["2"]:
        raise SystemExit(f"{NAME}: held-out accuracies {accuracies}; 1 must reach {MINIMUM_ACCURACY}, 2 must beat it")
    heldout = {"model": NAME, "accuracy": accuracies, "images": images.tolist(), "labels": labels.tolist()}
    write_json(out / "heldout.json", heldout)
    write_json(out / "models" / "manifest.json", {"models": {NAME: {"versions": published}}})
    (out / "recipe").write_text(recipe() + "\n")  # last: a run that was cut off is not current
    return accuracies


def write_json(path: Path, content: dict) -> None:
    """The same content is always the same bytes."""
    path.write_text(json.dumps(content, sort_keys=True) + "\n")


def main() -> None:
    """Build into --out unless what lies there is current; print the accuracies."""
    parser = argparse.ArgumentParser(description="Train the digits model and export it to ONNX.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    out = parser.parse_args().out
    if is_current(out):
        accuracies = json.loads((out / "heldout.json").read_text())["accuracy"]
        print(f"{NAME}: current", file=sys.stderr)
    else:
        accuracies = build(out)
    for number, value in accuracies.items():
        print(f"{NAME} version {number}: held-out accuracy {value:.4f}")


if __name__ == "__main__":
    main()

"""Train the digits model and export it: version 1 is linear, version 2 is a support vector machine.

    python models/digits/train.py --out DIR

writes DIR/models/manifest.json, DIR/models/digits/<version>/model.onnx and DIR/heldout.json. The data are the 1,797
UCI digits that come with scikit-learn; seed and split are fixed: the same libraries make
the same versions again, if not always to the last digit of a number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from importlib.metadata import version as installed
from pathlib import Path

NAME = "digits"
LIBRARIES = ("numpy", "onnx", "scikit-learn", "skl2onnx")
MINIMUM_ACCURACY = 0.95


def recipe() -> str:
    """A digest of everything that decides the bytes: these files and the libraries that train and export."""
    here = Path(__file__)
    digest = hashlib.sha256(here.read_bytes() + here.with_name("classifiers.py").read_bytes())
    for library in LIBRARIES:
        digest.update(f"{library}={installed(library)}\n".encode())
    return digest.hexdigest()


def is_current(out: Path) -> bool:
    """Whether `out` holds what these files and these libraries wrote before, unchanged."""
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
    import classifiers  # here, because its libraries take seconds to load, and most runs find everything current

    train_images, images, train_labels, labels = classifiers.split()
    published: dict[str, dict] = {}
    accuracies: dict[str, float] = {}
    for number, make in classifiers.VERSIONS.items():
        model = classifiers.export(make().fit(train_images, train_labels))
        accuracies[number] = classifiers.accuracy(model, images, labels)
        path = out / "models" / NAME / number / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model)
        entry = {"sha256": hashlib.sha256(model).hexdigest(), "size": len(model)}
        published[number] = {"files": {path.name: entry}, "source": classifiers.source(number)}
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

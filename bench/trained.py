"""The digits model that the benches ask: the linear version, for what is measured is the way to the model, not the model."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench import ROOT
from rehearsal import places

MODEL, VERSION = "digits", "1"


@dataclass(frozen=True)
class Trained:
    """Its file, and images that it was not trained with."""

    model: Path
    images: list[list[float]]


def digits() -> Trained:
    """Trained where that was not done before; kept in the cache."""
    built = places.cache() / "models"
    train = [sys.executable, str(ROOT / "models" / MODEL / "train.py"), "--out", str(built)]
    subprocess.run(train, check=True, capture_output=True)
    images = json.loads((built / "heldout.json").read_text())["images"]
    return Trained(built / "models" / MODEL / VERSION / "model.onnx", images)

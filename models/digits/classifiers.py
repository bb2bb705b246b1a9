"""The digits model: its training, its versions, and its export to ONNX."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable

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


def source(number: str) -> str:
    """What a version is made from, as a digest: its code and settings. Another library or processor may make other bytes of
    the same source; they are the same version."""
    code = [inspect.getsource(function) for function in (VERSIONS[number], split, export)]
    return hashlib.sha256(repr((NAME, SEED, HELD_OUT, OPSET, code)).encode()).hexdigest()


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

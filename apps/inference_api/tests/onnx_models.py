"""The models of `triton_peer` as ONNX files, and some that are slow or refuse what they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from triton_peer import DIGITS

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def _model(nodes: Sequence[Any], inputs: list[Any], outputs: list[Any], **constants: np.ndarray) -> bytes:
    given = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    make = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "graph", [make(*one) for one in inputs], [make(*one) for one in outputs], given)
    model = helper.make_model(graph, opset_imports=OPSETS, ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def digits(version: str) -> bytes:
    """As triton_peer.digits."""
    return _model(
        [
            helper.make_node("MatMul", ["image", "weights"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        ],
        [("image", FLOAT, ["rows", 64])],
        [("label", INT64, ["rows"]), ("probabilities", FLOAT, ["rows", 10])],
        weights=DIGITS[version],
    )


def pair() -> bytes:
    """As triton_peer.pair."""
    return _model(
        [helper.make_node("Add", ["left", "right"], ["sum"])],
        [("left", INT64, ["rows", 2]), ("right", INT64, ["rows", 2])],
        [("sum", INT64, ["rows", 2])],
    )


def words() -> bytes:
    """As triton_peer.words, for the words that are asked."""
    known = ["a", "b", "ß", "grün"]
    node = helper.make_node(
        "LabelEncoder", ["text"], ["upper"], domain="ai.onnx.ml",
        keys_strings=known, values_strings=[word.upper() for word in known],
    )  # fmt: skip
    return _model([node], [("text", STRING, ["rows", 1])], [("upper", STRING, ["rows", 1])])


def double() -> bytes:
    """As triton_peer.double, whose rows are numbers here: Triton gives each a dimension, and so does the service."""
    nodes = [helper.make_node("Add", ["number", "number"], ["double"])]
    return _model(nodes, [("number", INT64, ["rows"])], [("double", INT64, ["rows"])])


def image() -> bytes:
    """As triton_peer.image, with a mean that is a number here."""
    nodes = [helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=0)]
    return _model(nodes, [("pixels", FLOAT, [4, 4])], [("mean", FLOAT, [])])


def pick() -> bytes:
    """A row's entry in a table of ten; refuses a number outside of it."""
    nodes = [helper.make_node("Gather", ["table", "index"], ["value"])]
    table = np.arange(0, 100, 10)
    return _model(nodes, [("index", INT64, ["rows", 1])], [("value", INT64, ["rows", 1])], table=table)


def slow() -> bytes:
    """Gives back what it takes, after counting up to the largest number in it one by one."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"]),
            helper.make_node("Add", ["sum_in", "step"], ["sum_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_in", INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_out", INT64, [1]),
        ],
        [numpy_helper.from_array(np.array([1]), "step")],
    )
    nodes = [
        helper.make_node("ReduceMax", ["turns"], ["many"], keepdims=0),
        helper.make_node("Loop", ["many", "", "zero"], ["count"], body=body),
        helper.make_node("Sub", ["count", "count"], ["nothing"]),
        helper.make_node("Add", ["turns", "nothing"], ["same"]),
    ]
    return _model(nodes, [("turns", INT64, ["rows", 1])], [("same", INT64, ["rows", 1])], zero=np.array([0]))


def sequence() -> bytes:
    """Gives a list of tensors, which no protocol here can carry."""
    graph = helper.make_graph(
        [helper.make_node("SequenceConstruct", ["x", "x"], ["both"])],
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, [1])],
        [helper.make_tensor_sequence_value_info("both", FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=8).SerializeToString()


LIKE_TRITON = {
    "digits": {"1": digits("1"), "2": digits("2")},
    "pair": {"1": pair()},
    "words": {"1": words()},
    "double": {"1": double()},
    "image": {"1": image()},
}

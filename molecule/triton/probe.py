"""One look at Triton over gRPC, in a process of its own, because gRPC's threads stay in the network they were born in.

    probe.py FOLDER QUESTION    where the JSON question is {"address", "tls": {...} | null, "call", "version"}

prints {"ok": answer} or {"code": gRPC status, "details": why not}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as api

SERVICE = "/inference.GRPCInferenceService/"


def main(folder: Path, question: dict) -> dict:
    with channel(question) as connection:
        try:
            return {"ok": CALLS[question["call"]](connection, folder, question.get("version", ""))}
        except grpc.RpcError as error:
            return {"code": error.code().name, "details": error.details()}


def channel(question: dict) -> grpc.Channel:
    tls = question["tls"]
    if tls is None:
        return grpc.insecure_channel(question["address"])
    ca, key, certificate = (Path(tls[part]).read_bytes() if tls.get(part) else None for part in ("ca", "key", "pem"))
    options = [("grpc.ssl_target_name_override", tls["name"])]
    return grpc.secure_channel(question["address"], grpc.ssl_channel_credentials(ca, key, certificate), options)


def ask(connection: grpc.Channel, method: str, request: object, answer: type) -> object:
    call = connection.unary_unary(
        SERVICE + method, request_serializer=lambda m: m.SerializeToString(), response_deserializer=answer.FromString
    )
    return call(request, timeout=30)


def index(connection: grpc.Channel, folder: Path, version: str) -> dict[str, str]:
    answer = ask(connection, "RepositoryIndex", api.RepositoryIndexRequest(), api.RepositoryIndexResponse)
    return {entry.version: entry.state for entry in answer.models}


def shapes(connection: grpc.Channel, folder: Path, version: str) -> dict:
    answer = ask(connection, "ModelMetadata", api.ModelMetadataRequest(name="digits"), api.ModelMetadataResponse)
    return {t.name: [t.datatype, list(t.shape)] for t in [*answer.inputs, *answer.outputs]}


def accuracy(connection: grpc.Channel, folder: Path, version: str) -> float:
    """Share of all held-out images that one version labels right, in batches of different sizes."""
    heldout = json.loads((folder / "heldout.json").read_text())
    images, labels = np.array(heldout["images"], dtype=np.float32), heldout["labels"]
    found: list[int] = []
    for start, end in ((0, 1), (1, 64), (64, 128), (128, 190), (190, 250), (250, 310), (310, 360)):
        request = api.ModelInferRequest(model_name="digits", model_version=version)
        request.inputs.add(name="image", datatype="FP32").shape.extend([end - start, 64])
        request.raw_input_contents.append(images[start:end].tobytes())
        answer = ask(connection, "ModelInfer", request, api.ModelInferResponse)
        position = [output.name for output in answer.outputs].index("label")
        found += np.frombuffer(answer.raw_output_contents[position], dtype=np.int64).tolist()
    assert len(found) == len(labels)
    return sum(a == b for a, b in zip(found, labels, strict=True)) / len(labels)


def unload(connection: grpc.Channel, folder: Path, version: str) -> str:
    request = api.RepositoryModelUnloadRequest(model_name="digits")
    ask(connection, "RepositoryModelUnload", request, api.RepositoryModelUnloadResponse)
    return "unloaded"


def load(connection: grpc.Channel, folder: Path, version: str) -> str:
    """What an intruder would do: a model of its own, sent along with the call."""
    request = api.RepositoryModelLoadRequest(model_name="mine")
    request.parameters["config"].string_param = '{"backend": "python"}'
    request.parameters["file:1/model.py"].bytes_param = b"import os"
    ask(connection, "RepositoryModelLoad", request, api.RepositoryModelLoadResponse)
    return "loaded"


CALLS = {"index": index, "shapes": shapes, "accuracy": accuracy, "unload": unload, "load": load}

if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), json.loads(sys.argv[2]))))

"""What the engine is measured against: a bare ASGI function that calls the same ONNX session, and nothing else.

MODEL=model.onnx uvicorn bench.engine_bare:app
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np
import onnxruntime
import orjson

Message = MutableMapping[str, Any]

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1  # as the engine has it
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
INPUT = session.get_inputs()[0].name
OUTPUTS = [output.name for output in session.get_outputs()]


async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]):
    """One call of the session a request, in the event loop: nothing of it is handed to a thread, or merged."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    parts, more = [], scope["method"] == "POST"
    while more:
        message = await receive()
        parts.append(message["body"])
        more = message.get("more_body", False)
    answer = {}
    if parts:
        rows = np.array(orjson.loads(b"".join(parts))["inputs"], np.float32)
        answer["outputs"] = dict(zip(OUTPUTS, session.run(OUTPUTS, {INPUT: rows}), strict=True))
    body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

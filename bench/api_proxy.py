"""What the API is measured against: a proxy to Triton by FastAPI, pydantic and Triton's own client, and nothing else.

TRITON=127.0.0.1:8001 uvicorn bench.api_proxy:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from tritonclient.grpc.aio import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException


class PredictRequest(BaseModel):
    """Rows of numbers."""

    inputs: list[list[float]]


class PredictResponse(BaseModel):
    """One entry a row in every output."""

    model: str
    version: str
    outputs: dict[str, list[Any]]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.triton = InferenceServerClient(os.environ["TRITON"])
    yield
    await app.state.triton.close()


app = FastAPI(lifespan=lifespan)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "alive"}


@app.post("/v1/predict/{model}")
async def predict(model: str, body: PredictRequest) -> PredictResponse:
    """One call to Triton a request."""
    rows = np.array(body.inputs, np.float32)
    tensor = InferInput("image", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    try:
        result = await app.state.triton.infer(model, [tensor])
    except InferenceServerException as error:
        raise HTTPException(502, str(error)) from error
    answer = result.get_response()
    outputs = {output.name: result.as_numpy(output.name).tolist() for output in answer.outputs}
    return PredictResponse(model=answer.model_name, version=answer.model_version, outputs=outputs)

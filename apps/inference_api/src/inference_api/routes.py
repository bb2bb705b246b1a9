"""The routed door: the same predictions as FastAPI declares them, and what is asked about models."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import BaseModel

from inference_api import __version__, plain_codecs, problems
from inference_api.codecs import Codec
from inference_api.front import KEY_HEADER, head, read_body
from inference_api.plain_codecs import InferRequest, InferResponse, PredictRequest, PredictResponse
from inference_api.service import Call, Service, prediction_ids
from inference_api.stores import Client

PREDICT = plain_codecs.PlainPredictCodec()
INFER = plain_codecs.PlainInferCodec()

API_KEY = "ApiKey"  # the scheme's name in the contract
# for the documentation; `head` reads them
CREDENTIALS = [
    Depends(HTTPBearer(auto_error=False, description="The API key")),
    Depends(APIKeyHeader(name=KEY_HEADER.decode(), auto_error=False, description="The API key", scheme_name=API_KEY)),
]


class ProblemDocument(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str | None = None


def _errors(*codes: int) -> dict[int | str, dict[str, Any]]:
    every: tuple[int | str, ...] = (*codes, "default")  # else FastAPI documents an error of its own form, never sent
    return {
        code: {
            "description": "A problem",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for code in every
    }


PREDICTION_ERRORS = _errors(400, 401, 404, 413, 429, 500, 502, 503, 504)


def _body_of(kind: type[BaseModel]) -> dict[str, Any]:
    """The body is read under our own limits, so FastAPI is only told what it looks like."""
    reference = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}}


def service_of(request: Request) -> Service:
    """This worker's service."""
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(service_of)]


async def authenticated(request: Request, service: ServiceOf) -> Client:
    """Whoever asks; Problem 401."""
    key, _, _ = head(request.scope["headers"])
    return await service.keys.client(key)


predictions = APIRouter(dependencies=CREDENTIALS, responses=PREDICTION_ERRORS)
models = APIRouter(dependencies=[*CREDENTIALS, Depends(authenticated)], responses=_errors(401, 404, 503))


async def _answer(request: Request, service: Service, codec: Codec, model: str, version: str) -> Response:
    key, request_id, length = head(request.scope["headers"])
    prediction_id, request_id = prediction_ids(request_id)
    limit = service.settings.body_limit_bytes

    async def body() -> bytes:
        return await read_body(request.receive, limit, length)

    call = Call(request.scope["path"], model, version, key, request_id)
    answer = await service.handle(call, body, codec, prediction_id)
    response = Response(answer.body, answer.status, media_type=answer.media_type.decode())
    for name, value in ((b"x-request-id", request_id.encode()), *answer.headers):
        response.headers[name.decode()] = value.decode()
    return response


@predictions.post("/v1/predict/{model}", response_model=PredictResponse, openapi_extra=_body_of(PredictRequest))
async def predict(model: str, request: Request, service: ServiceOf) -> Response:
    """Predict with a model that has one input; every output has one entry a row, a list also where that is of one."""
    return await _answer(request, service, PREDICT, model, "")


@predictions.post("/v2/models/{model}/infer", response_model=InferResponse, openapi_extra=_body_of(InferRequest))
async def infer(model: str, request: Request, service: ServiceOf) -> Response:
    """Open Inference Protocol: predict with the newest version."""
    return await _answer(request, service, INFER, model, "")


@predictions.post(
    "/v2/models/{model}/versions/{version}/infer", response_model=InferResponse, openapi_extra=_body_of(InferRequest)
)
async def infer_version(model: str, version: str, request: Request, service: ServiceOf) -> Response:
    """Open Inference Protocol: predict with this version."""
    return await _answer(request, service, INFER, model, version)


@models.get("/v2")
async def server(service: ServiceOf) -> dict[str, Any]:
    """Open Inference Protocol: what this server is."""
    return {"name": "inference-api", "version": __version__, "extensions": []}


@models.get("/v2/health/live")
async def live() -> dict[str, bool]:
    """Open Inference Protocol: alive."""
    return {"live": True}


@models.get("/v2/health/ready")
async def ready(service: ServiceOf) -> dict[str, bool]:
    """Open Inference Protocol: predictions can be answered; 503 names what is waited for."""
    is_ready, away = service.state()
    if not is_ready:
        raise problems.waiting("Predictions cannot be answered now.", *away)
    return {"ready": True}


@models.get("/v2/models")
async def all_models(service: ServiceOf) -> dict[str, Any]:
    """Every ready model with its versions, inputs and outputs."""
    await service.look()
    return {"models": [model.document() for model in service.models.value.values()]}


@models.get("/v2/models/{model}")
async def model_metadata(model: str, service: ServiceOf) -> dict[str, Any]:
    """Open Inference Protocol: a model's versions, inputs and outputs."""
    return (await service.model(model, "")).document()


@models.get("/v2/models/{model}/ready")
async def model_ready(model: str, service: ServiceOf) -> dict[str, Any]:
    """Open Inference Protocol: whether the model can be asked."""
    return await version_ready(model, "", service)


@models.get("/v2/models/{model}/versions/{version}")
async def version_metadata(model: str, version: str, service: ServiceOf) -> dict[str, Any]:
    """Open Inference Protocol: a version's inputs and outputs."""
    return (await service.model(model, version)).document()


@models.get("/v2/models/{model}/versions/{version}/ready")
async def version_ready(model: str, version: str, service: ServiceOf) -> dict[str, Any]:
    """Open Inference Protocol: whether the version can be asked."""
    found = await service.model(model, version)
    if not service.engine_ready:
        raise service.no_engine()
    return {"name": found.name, "ready": True}

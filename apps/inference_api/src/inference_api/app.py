"""The application: FastAPI for documentation, health and administration, with the quick door in front."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from inference_api import __version__, metrics, plain_codecs, problems, routes
from inference_api.connection import SERVICE
from inference_api.docs import add_docs
from inference_api.front import Front, head
from inference_api.problems import Problem
from inference_api.service import Service
from inference_api.settings import Settings, load

logger = logging.getLogger("inference_api")

GARBAGE = 20_000  # new objects before a collection; Python's own 700 are those of some twenty requests
DOCUMENTED = (
    plain_codecs.PredictRequest,
    plain_codecs.InferRequest,
    routes.ProblemDocument,
)


def create_app(settings: Settings) -> FastAPI:
    """The routed application; its lifespan starts and stops the service."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Service]]:
        service: Service = app.state.service
        await service.start()
        yield {SERVICE: service}
        await service.stop()

    app = FastAPI(
        title="Inference API",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        redoc_url=None,
    )
    app.state.service = Service(settings)
    app.include_router(routes.predictions)
    app.include_router(routes.models)
    _add_health(app)
    _add_errors(app)
    if app.openapi_url:
        add_docs(app, app.openapi_url)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def create_server_app() -> Front:
    """What uvicorn's workers make: settings from the environment."""
    app = create_app(load())
    gc.collect()
    gc.freeze()  # what is there now stays: no collection goes through it while requests wait
    gc.set_threshold(GARBAGE)
    return Front(app, app.state.service)


def _add_health(app: FastAPI) -> None:
    service: Service = app.state.service

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> dict[str, Any]:
        """Predictions can be answered. `waiting_for` names what is away, which may be PostgreSQL: keys that are known
        go on working, and predictions go to the spool."""
        ready, away = service.state()
        if not ready:
            names = away or ["postgresql"]
            raise problems.waiting(f"Waiting for {', '.join(names)}.", *names)
        return {"status": "degraded" if away else "ready", "waiting_for": away}

    @app.get("/metrics", response_class=Response)
    async def all_metrics() -> Response:
        """Prometheus metrics of all workers together."""
        text = metrics.render(service.settings.state_directory)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_errors(app: FastAPI) -> None:
    def respond(request: Request, problem: Problem) -> Response:
        _, request_id, _ = head(request.scope["headers"])
        answer = problem.answer(request_id or None, request.url.path)
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        if request_id:
            headers["x-request-id"] = request_id
        return Response(answer.body, answer.status, headers, answer.media_type.decode())

    @app.exception_handler(Problem)
    async def on_problem(request: Request, error: Problem) -> Response:
        return respond(request, error)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        kind = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http-error")
        headers = tuple((name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items())
        return respond(request, Problem(error.status_code, kind, str(error.detail), headers=headers))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return respond(request, problems.invalid(str(error.errors()[0]["msg"])))

    @app.exception_handler(Exception)
    async def on_fault(request: Request, error: Exception) -> Response:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return respond(request, problems.internal())


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document with the schemas of the bodies that it does not read itself."""
    if not app.openapi_schema:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        _, definitions = models_json_schema(
            [(kind, "validation") for kind in DOCUMENTED], ref_template="#/components/schemas/{model}"
        )
        document.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
        app.openapi_schema = document
    return app.openapi_schema

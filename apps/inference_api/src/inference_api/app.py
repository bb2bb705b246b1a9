"""The routed application: FastAPI for documentation, health and administration."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from inference_api import __version__, metrics, plain_codecs, problems, routes
from inference_api.docs import add_docs
from inference_api.front import head
from inference_api.problems import Problem
from inference_api.service import Service

logger = logging.getLogger("inference_api")

DOCUMENTED = (
    plain_codecs.PredictRequest,
    plain_codecs.InferRequest,
    routes.ProblemDocument,
)


def create_app(service: Service) -> FastAPI:
    """The routed application of a service, which somebody else starts and stops."""
    app = new_app(openapi_url="/openapi.json" if service.settings.docs else None)
    app.state.service = service
    app.include_router(routes.predictions)
    app.include_router(routes.models)
    _add_health(app)
    _add_errors(app)
    if app.openapi_url:
        add_docs(app, app.openapi_url)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


def new_app(**options: Any) -> FastAPI:
    """FastAPI by its name and version, without pages of its own."""
    return FastAPI(title="Inference API", version=__version__, docs_url=None, redoc_url=None, **options)


def _add_health(app: FastAPI) -> None:
    service: Service = app.state.service

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> dict[str, Any]:
        """Predictions can be answered. `waiting_for` names what is away, which may be the store of predictions (they go to
        the spool, or are refused where records are durable), a new version of a model that cannot be served (the others
        go on), or this machine's clock, where requests that it signs are refused for it."""
        ready, away = service.state()
        if not ready:
            raise problems.waiting(f"Waiting for {', '.join(away)}.", *away)
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


def describe(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document with the schemas of the bodies that it does not read itself."""
    if not app.openapi_schema:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        _, definitions = models_json_schema(
            [(kind, "validation") for kind in DOCUMENTED], ref_template="#/components/schemas/{model}"
        )
        document.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
        app.openapi_schema = document
    return app.openapi_schema

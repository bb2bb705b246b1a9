"""The documentation page. It and what it loads come from here: a stage's edge and its users may have no Internet."""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

PATH = "/docs"


def add_docs(app: FastAPI, openapi_url: str) -> None:
    """Serve Swagger UI at PATH and its files below, with a policy that lets the page load and ask nobody else."""
    page = bytes(
        get_swagger_ui_html(
            openapi_url=openapi_url,
            title=app.title,
            swagger_js_url=f"{PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{PATH}/swagger-ui.css",
            swagger_favicon_url=f"{PATH}/favicon.png",
        ).body
    )
    headers = {"content-security-policy": policy(page)}

    @app.get(PATH, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page, headers=headers)

    app.mount(PATH, StaticFiles(packages=[("fastapi_offline", "static")]))


def policy(page: bytes) -> str:
    """The page's Content-Security-Policy: of what stands in the page itself, exactly its scripts may run."""
    scripts = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts)
    allowed = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in digests)])
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

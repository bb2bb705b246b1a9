"""The documentation page, as a browser takes it: what it loads, and what its policy lets it load."""

from __future__ import annotations

import base64
import hashlib
import re

from process import Api

FILES = {
    "/docs/swagger-ui.css": "text/css",
    "/docs/favicon.png": "image/png",
    "/docs/swagger-ui-bundle.js": "text/javascript",
    "/openapi.json": "application/json",
}


def test_the_page_loads_what_stands_here_and_nothing_else(api: Api) -> None:
    api.start()
    page = api.client.get("/docs").text
    assert set(re.findall(r"""(?:src=|href=|url: )["']([^"']+)["']""", page)) == set(FILES)
    for path, kind in FILES.items():
        answer = api.client.get(path, headers={"authorization": ""})
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
        assert len(answer.content) > 500


def test_the_policy_allows_the_page_its_own_script_and_no_other_in_it(api: Api) -> None:
    api.start()
    answer = api.client.get("/docs")
    policy = dict(part.split(maxsplit=1) for part in answer.headers["content-security-policy"].split("; "))
    (script,) = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy["script-src"].split() == ["'self'", f"'sha256-{digest}'"]
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == policy["style-src"] == "'self'"


def test_without_documentation_none_of_it_is_there(api: Api) -> None:
    api.start(docs="false")
    assert {api.client.get(path).status_code for path in ("/docs", *FILES)} == {404}


def test_the_errors_that_are_documented_are_those_that_are_sent(api: Api) -> None:
    api.start()
    paths = api.client.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method in methods.values():
            responses = set(method["responses"])
            assert "422" not in responses, path
            assert "400" in responses or not ("predict" in path or "infer" in path)

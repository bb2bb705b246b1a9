"""Which operation of an API gateway answers a request."""

from __future__ import annotations

import pytest

from rehearsal.cloud.openapi import ANY
from rehearsal.serverless import routing
from rehearsal.serverless.served import Route


def route(method: str, path: str, name: str) -> Route:
    return Route(path, method, {"type": "dummy", "name": name})


ROUTES = [
    route(ANY, "/{proxy+}", "rest"),
    route(ANY, "/pets/{id}", "any"),
    route("get", "/pets/{id}", "pet"),
    route("get", "/pets/new", "new"),
    route("get", "/pets/{id}/photos/{photo-name}.png", "photo"),
    route("put", "/files/{path+}", "file"),
    route("get", "/", "root"),
]


@pytest.mark.parametrize(
    ("method", "path", "name", "parameters"),
    [
        ("GET", "/", "root", {}),
        ("POST", "/", "rest", {"proxy": ""}),
        ("GET", "/pets/7", "pet", {"id": "7"}),
        ("GET", "/pets/new", "new", {}),
        ("GET", "/pets/a%20b", "pet", {"id": "a b"}),
        ("DELETE", "/pets/new", "any", {"id": "new"}),
        ("GET", "/pets/7/photos/front.png", "photo", {"id": "7", "photo-name": "front"}),
        ("GET", "/pets/7/photos/frontXpng", "rest", {"proxy": "pets/7/photos/frontXpng"}),
        ("PUT", "/files/a/b/c", "file", {"path": "a/b/c"}),
        ("PATCH", "/files/a", "rest", {"proxy": "files/a"}),
    ],
)
def test_the_most_exact_path_that_has_the_method_answers(method, path, name, parameters):
    found = routing.find(ROUTES, method, path)
    assert (found.integration["name"], found.parameters) == (name, parameters)


def test_an_unknown_path_and_a_path_without_the_method_are_told_apart():
    routes = [route("get", "/pets/{id}", "pet")]
    assert routing.find(routes, "GET", "/pets") is None
    assert routing.find(routes, "GET", "/pets/7/name") is None
    with pytest.raises(routing.MethodNotAllowed):
        routing.find(routes, "POST", "/pets/7")


def test_parameters_are_put_where_they_are_named():
    template = {"url": "https://x/{id}/{path+}", "headers": {"A": ["{id}", "{other}"]}, "http_code": 200}
    filled = routing.fill(template, {"id": "7", "path": "a/b"})
    assert filled == {"url": "https://x/7/a/b", "headers": {"A": ["7", "{other}"]}, "http_code": 200}

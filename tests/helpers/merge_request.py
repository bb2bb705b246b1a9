"""The comments of one request to merge, as the APIs of GitLab and GitHub have them, over real HTTP."""

from __future__ import annotations

import json
import re
from email.message import Message
from urllib.parse import parse_qs, urlsplit

from json_server import JsonServer

ROUTES = (
    (re.compile(r"/api/v4/user"), "user"),
    (re.compile(r"/api/v4/projects/7/merge_requests/3/notes(?:/(\d+))?"), "gitlab"),
    (re.compile(r"/repos/team/stagecraft/issues/3/comments"), "github"),
    (re.compile(r"/repos/team/stagecraft/issues/comments/(\d+)"), "github"),
)
CHANGES = {"gitlab": "PUT", "github": "PATCH"}


class MergeRequest(JsonServer):
    """Number 3 of project 7, `team/stagecraft`. Takes one token; its user may change nobody else's comments."""

    TOKEN = "glpat-the-right-one"
    USER = "project_7_bot_c0ffee"  # on GitHub it is the bot of its Actions

    def __init__(self) -> None:
        self.comments: list[dict[str, str | int]] = []
        self.asked: list[str] = []
        super().__init__()

    def gitlab(self, token: str = TOKEN) -> dict[str, str]:
        """What a job on GitLab finds in its environment."""
        return {
            "CI_MERGE_REQUEST_IID": "3", "CI_MERGE_REQUEST_PROJECT_ID": "7", "CI_API_V4_URL": f"{self.url}/api/v4",
            "STAGECRAFT_COMMENT_TOKEN": token,
        }  # fmt: skip

    def github(self, token: str = TOKEN) -> dict[str, str]:
        """What a job on GitHub finds there."""
        return {
            "GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/pull/3/merge", "GITHUB_API_URL": self.url,
            "GITHUB_REPOSITORY": "team/stagecraft", "GITHUB_TOKEN": token,
        }  # fmt: skip

    def write(self, who: str, body: str) -> dict:
        comment = {"id": 100 + len(self.comments), "who": who, "body": body}
        self.comments.append(comment)
        return comment

    def answered(self, method: str, path: str, headers: Message, body: bytes) -> tuple[int, object]:
        given = json.loads(body) if body else {}
        token = headers["PRIVATE-TOKEN"] or (headers["Authorization"] or "").removeprefix("Bearer ")
        self.asked.append(method)
        url = urlsplit(path)
        match, forge = next(((m, f) for route, f in ROUTES if (m := route.fullmatch(url.path))), (None, ""))
        if token != self.TOKEN:
            return 401, {"message": "401 Unauthorized"}
        me = "github-actions[bot]" if forge == "github" else self.USER
        if match is None:
            return 404, {"message": "404 Not Found"}
        if forge == "user":
            return 200, {"username": me}
        if not (match.lastindex and match[1]):
            return self.listed(forge, url.query) if method == "GET" else self.made(forge, method, me, given)
        comment = next(one for one in self.comments if one["id"] == int(match[1]))
        if method != CHANGES[forge] or comment["who"] != me:
            return 403, {"message": "403 Forbidden"}
        comment["body"] = given["body"]
        return 200, self.shown(forge, comment)

    def listed(self, forge: str, query: str) -> tuple[int, object]:
        asked = {name: int(values[0]) for name, values in parse_qs(query).items()}
        first = (asked["page"] - 1) * asked["per_page"]
        return 200, [self.shown(forge, one) for one in self.comments[first : first + asked["per_page"]]]

    def made(self, forge: str, method: str, me: str, given: dict) -> tuple[int, object]:
        return (201, self.shown(forge, self.write(me, given["body"]))) if method == "POST" else (405, {})

    @staticmethod
    def shown(forge: str, comment: dict) -> dict:
        author = {"author": {"username": comment["who"]}} if forge == "gitlab" else {"user": {"login": comment["who"]}}
        return {"id": comment["id"], "body": comment["body"], **author}

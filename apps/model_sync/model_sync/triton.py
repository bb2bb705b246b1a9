"""Triton's model control API, over HTTP on loopback."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from model_sync.errors import SyncError

_PAUSE = 0.2  # seconds between two looks
_ANSWER_TIMEOUT = 10  # seconds for a call that does no work


class TritonRefused(SyncError):
    """Triton answered, and the answer is no."""


class Triton:
    """One server. `timeout` is in seconds and bounds a load and every wait."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        if not self.url.startswith("http://"):
            raise SyncError(f"Triton's address {url!r} has to be an http:// address on loopback.")

    def states(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Model to version to (state, reason), for every version Triton has heard of."""
        found: dict[str, dict[str, tuple[str, str]]] = {}
        for entry in self._call("POST", "/v2/repository/index", {}, _ANSWER_TIMEOUT) or []:
            if version := entry.get("version"):
                state = (entry.get("state", "UNAVAILABLE"), entry.get("reason", ""))
                found.setdefault(entry["name"], {})[version] = state
        return found

    def ready(self, model: str) -> set[str]:
        """The versions of a model that answer."""
        return {version for version, (state, _) in self.states().get(model, {}).items() if state == "READY"}

    def wait_live(self) -> None:
        """Until the server answers: it may just have been started."""

        def live() -> bool:
            try:
                self._call("GET", "/v2/health/live", None, _ANSWER_TIMEOUT)
            except TritonRefused:
                return False
            return True

        self._wait(live, "does not answer. Check `systemctl status triton`.", unreachable_is_fatal=False)

    def load(self, model: str) -> None:
        """Load or reload; TritonRefused with Triton's own words when it cannot."""
        self._call("POST", f"/v2/repository/models/{model}/load", {}, self._timeout)

    def unload(self, model: str) -> None:
        """Start unloading; it goes on after the answer: see wait_gone."""
        self._call("POST", f"/v2/repository/models/{model}/unload", {}, self._timeout)

    def wait_ready(self, model: str, versions: set[str]) -> None:
        """Until every one of `versions` is READY."""
        self._wait(
            lambda: versions <= self.ready(model),
            f"did not make {model} versions {', '.join(sorted(versions, key=int))} READY",
        )

    def wait_gone(self, model: str, versions: set[str]) -> None:
        """Until Triton has let go of the files of `versions`."""

        def gone() -> bool:
            states = self.states().get(model, {})
            return all(states.get(version, ("UNAVAILABLE", ""))[0] == "UNAVAILABLE" for version in versions)

        self._wait(gone, f"did not unload {model} versions {', '.join(sorted(versions, key=int))}")

    def _wait(self, done: Callable[[], bool], complaint: str, *, unreachable_is_fatal: bool = True) -> None:
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                if done():
                    return
            except TritonRefused:
                raise
            except SyncError:
                if unreachable_is_fatal:
                    raise
            if time.monotonic() > deadline:
                raise SyncError(f"Triton at {self.url} {complaint} (waited {self._timeout:g} s).")
            time.sleep(_PAUSE)

    def _call(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the constructor admits http:// only
            self.url + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise TritonRefused(f"Triton at {self.url}: {_reason(error)}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise SyncError(f"Triton at {self.url} cannot be reached: {reason}. Is the service running?") from error
        return json.loads(content) if content else None


def _reason(error: urllib.error.HTTPError) -> str:
    """Triton's message without the backend's stack."""
    text = error.read().decode(errors="replace")
    try:
        text = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        text = text or str(error)
    return text.split("\n\nAt:")[0].strip()

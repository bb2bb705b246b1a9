"""The service as a process of its own, and its command; for the tests and for the bench."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from authority import Pair

SOURCE = Path(__file__).parents[1] / "src"
KEY = "a-key-for-tests-0123456789-0123456789"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true value of `what`; fails after that long."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > end:
            assert value, f"not within {seconds} s"
            return value
        time.sleep(0.05)


def command(
    environment: dict[str, str], *arguments: str, stdin: str = "", check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run `inference-api`."""
    done = subprocess.run(
        [sys.executable, "-m", "inference_api", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        input=stdin,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


class Api:
    """The service as a process of its own: over HTTPS with a certificate, which `ca` has signed, else over HTTP."""

    def __init__(
        self,
        environment: dict[str, str],
        log: Path,
        certificate: Pair | None = None,
        ca: Path | None = None,
        python: str = sys.executable,
    ) -> None:
        self.port = free_port()
        self.log, self.python = log, python
        self.environment = {**environment, "INFERENCE_API_PORT": str(self.port)}
        if certificate:
            self.environment["INFERENCE_API_TLS_CERTIFICATE_FILE"] = str(certificate.certificate)
            self.environment["INFERENCE_API_TLS_KEY_FILE"] = str(certificate.key)
        self.address = f"{'https' if certificate else 'http'}://localhost:{self.port}"
        self.context = ssl.create_default_context(cafile=ca)
        self.renew()
        self.process: subprocess.Popen[bytes] | None = None

    def renew(self) -> None:
        """A client without open connections."""
        self.client = httpx.Client(
            base_url=self.address,
            verify=self.context,
            headers={"authorization": f"Bearer {KEY}"},
            timeout=20,
        )

    def start(self, **settings: object) -> Api:
        """Start it, and wait until it answers at all."""
        self.launch(**settings)
        until(lambda: self.answers("/healthz"), 90)
        return self

    def launch(self, **settings: object) -> None:
        """Start it, and wait for nothing."""
        more = {f"INFERENCE_API_{name.upper()}": str(value) for name, value in settings.items()}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv({**self.environment, **more}),
                env={**os.environ, "PYTHONPATH": str(SOURCE), **self.environment, **more},
                stdout=log,
                stderr=log,
            )

    def argv(self, variables: dict[str, str]) -> list[str]:
        """The command that serves; the variables are in its environment."""
        return [self.python, "-m", "inference_api", "serve"]

    def answers(self, path: str) -> bool:
        """Whether the path answers 200."""
        try:
            return self.client.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def ready(self) -> Api:
        """Wait until predictions can be answered by every worker (each new connection may reach another one)."""
        until(lambda: all(self._fresh("/readyz") for _ in range(4)))
        return self

    def _fresh(self, path: str) -> bool:
        try:
            return self.client.get(path, headers={"connection": "close"}).status_code == 200
        except httpx.TransportError:
            return False

    def predict(self, inputs: Any, model: str = "digits", **more: Any) -> httpx.Response:
        return self.client.post(f"/v1/predict/{model}", json={"inputs": inputs, **more})

    def metric(self, name: str) -> float:
        """The sum of a metric's samples; `name` may end in a part of the labels."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process
        self.process.terminate()
        code = self.process.wait(40)
        self.process = None
        return code

    def kill(self) -> None:
        """End it, if it is still there; several workers end with their parent's SIGTERM."""
        self.client.close()
        if self.process and self.process.poll() is None:
            self.stop()

"""A connection's plain requests, answered without a task each: their body came whole, key and model are known.

Everything else, and every request that is wrong, goes on to the ASGI application as uvicorn sends it there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from inference_api.draining import GOODBYE_SECONDS, Loop
from inference_api.front import SERVICE, head, headers_of, respond, target_of
from inference_api.problems import Answer
from inference_api.service import Call, Service, prediction_ids

logger = logging.getLogger("inference_api")


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, with a shorter way for predictions."""

    _reading = False
    _held: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """See asyncio. Who was let in by TLS when the server had begun to stop is not among those whom it tells to end."""
        super().connection_made(transport)
        if isinstance(self.loop, Loop) and self.loop.stopping():
            self.loop.call_later(GOODBYE_SECONDS, self.shutdown)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._reading = True
        super().data_received(data)
        self._reading = False
        held, self._held = self._held, None
        if held is not None and not self._begun(held):
            super()._start_asgi_task(held, self.app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Hold the request back until all that came with its head is read."""
        if self._reading and app is self.app:
            self._held = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _begun(self, cycle: RequestResponseCycle) -> bool:
        """Whether the request is on its way to the model."""
        scope = cycle.scope
        if cycle.more_body or cycle.waiting_for_100_continue or scope["method"] != "POST":
            return False
        target = target_of(scope["path"])
        if target is None or self.transport.is_closing():
            return False
        key, request_id, _ = head(scope["headers"])
        prediction_id, request_id = prediction_ids(request_id)
        call = Call(scope["path"], target.model, target.version, key, request_id)
        service: Service = self.app_state[SERVICE]

        def answered(answer: Answer) -> None:
            self._reply(cycle, answer, request_id)

        try:
            return service.begin(call, bytes(cycle.body), target.codec, prediction_id, answered)
        except Exception:
            logger.exception("request %s could not take the short way", request_id)
            return False

    def _reply(self, cycle: RequestResponseCycle, answer: Answer, request_id: str) -> None:
        """Head and body in one write: each costs as much as all the rest of the answer."""
        if cycle.disconnected:
            return
        if cycle.flow.write_paused:
            send: Any = cycle.send  # uvicorn names each kind of message
            self._later(respond(send, answer, request_id))
            return
        headers = [*cycle.default_headers, *headers_of(answer, request_id)]
        if not cycle.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % header for header in headers]
        cycle.transport.write(b"".join([STATUS_LINE[answer.status], *lines, b"\r\n", answer.body]))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

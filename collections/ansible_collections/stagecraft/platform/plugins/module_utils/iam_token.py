"""One IAM token for all services of a session: the SDK by itself exchanges one for each of them, every 20 seconds."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any


class _Requests(ModuleType):
    """Stands for `requests`, which the SDK needs only for the metadata service: to import it takes a tenth of a second."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("requests"), name)


if "requests" in sys.modules:
    import yandexcloud
else:
    sys.modules["requests"] = _Requests("requests")
    import yandexcloud

    del sys.modules["requests"]

from yandex.cloud.iam.v1.iam_token_service_pb2_grpc import IamTokenServiceStub
from yandexcloud.auth import get_auth_token_requester

MARGIN = 300  # seconds before its end from which a token is followed by the next: a call must not outlive its own
EXCHANGE = 20  # seconds that an exchange may take


def sdk(
    endpoint: str, root_certificates: bytes | None, credentials: dict[str, Any]
) -> tuple[yandexcloud.SDK, Callable[[], str]]:
    """The SDK with the credentials that it takes, and what gives the current token; credentials that have to be exchanged
    are exchanged once for all services. No call is made."""
    reach: dict[str, Any] = {"endpoint": endpoint, "root_certificates": root_certificates}
    if credentials.keys() & {"token", "service_account_key"}:
        shared = SharedToken(reach, credentials)
        return shared.sdk, shared.__str__
    requester = get_auth_token_requester(endpoint=endpoint, **credentials)
    return yandexcloud.SDK(**reach, **credentials), requester.get_token


class SharedToken:
    """Stands where the SDK wants the text of a token, and is the current one whenever it is made text.

    That raises grpc.RpcError where an exchange is refused, which the SDK hands to the call that needed it.
    """

    def __init__(self, reach: dict[str, Any], credentials: dict[str, Any]) -> None:
        self._requester = get_auth_token_requester(endpoint=reach["endpoint"], **credentials)
        self._lock = threading.Lock()
        self._text, self._end = "", 0.0
        self.sdk = yandexcloud.SDK(**reach, iam_token=self)

    def __str__(self) -> str:
        with self._lock:
            if time.time() > self._end - MARGIN:
                service = self.sdk.client(IamTokenServiceStub)  # the one service that the SDK calls without a token
                answer = service.Create(self._requester.get_token_request(), timeout=EXCHANGE)
                self._text, self._end = answer.iam_token, answer.expires_at.seconds
            return self._text

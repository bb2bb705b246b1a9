"""The one way into the cloud, whatever protocol a call came by."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from rehearsal.cloud.descriptors import short
from rehearsal.cloud.errors import ApiError, Code

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud

log = logging.getLogger(__name__)


def answer(cloud: Cloud, method: MethodDescriptor, request: Message, metadata: dict[str, str]) -> Message:
    """Find out who calls, let the cloud answer, and note the call in the journal. Raises ApiError."""
    started, name, principal, operation = time.time(), short(method), "", ""
    failed: ApiError | None = None
    try:
        principal = cloud.identity.principal(name, metadata)
        found = cloud.call(method, request, metadata, principal)
        operation = found.id if short(method.output_type) == "operation.Operation" else ""
    except ApiError as error:
        failed = error
    except Exception as error:
        log.exception("%s", name)
        failed = ApiError(Code.INTERNAL, f"the emulator failed: {type(error).__name__}: {error}")
    code, text = (failed.code, failed.message) if failed else (Code.OK, "")
    cloud.journal.write(name, principal, code.name, started, request, operation=operation, error=text)
    if failed:
        raise failed
    return found

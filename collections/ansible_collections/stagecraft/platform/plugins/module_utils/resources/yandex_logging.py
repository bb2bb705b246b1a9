"""Cloud Logging."""

from __future__ import annotations

from ..access import ACCESS, Shared
from ..yandex import Field, Resource

LOG_GROUP = Resource(
    "logging.v1.LogGroup",
    backend=Shared,
    fields=(
        Field("retention_period", "How long records are kept.", unit="duration"),
        Field("data_stream", "Where records go too: the name of a stream of Data Streams."),
        ACCESS,
    ),
    example="""
name: stage
retention_period: 3d
access:
  - {role: logging.writer, service_account: api}
""",
)

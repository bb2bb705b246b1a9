"""Cloud Logging: groups of records. What serverless containers print is in them, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.message import Message

from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import ApiError, Code, invalid, not_found
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.service import Call, Service

LOG_GROUP = "logging.v1.LogGroup"
CONTAINER, REVISION = "serverless.containers.v1.Container", "serverless.containers.v1.Revision"
SOURCE = "serverless.container"  # the type of the resource that a container's records are of
MOST = 100  # records of a page, where nothing else is said
HOUR, DAY = 3600, 86400
KEPT = 3 * DAY  # seconds, where nothing else is said


class LogGroup(Bound, Kind):
    api = LOG_GROUP
    prefix = "e23"
    required = ("folder_id",)
    users = ("serverless.containers.v1.Revision", "serverless.apigateway.v1.ApiGateway")

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        resource.cloud_id = call.cloud.cloud_id
        if not resource.HasField("retention_period"):
            resource.retention_period.seconds = KEPT
        self._check(resource)

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        self._check(resource)

    def _check(self, group: Message) -> None:
        if not HOUR <= group.retention_period.seconds <= 31 * DAY:
            raise invalid("retention_period: Value must be in 1h-744h")


class Reading(Service):
    """Chosen by resource and time; what it does not have of the rest is refused."""

    name = "logging.v1.LogReadingService"

    def places(self, call: Call) -> list[str]:
        group = call.cloud.get(LOG_GROUP, call.request.criteria.log_group_id)
        folder = group.folder_id if group is not None else call.cloud.folder_id
        return [call.request.criteria.log_group_id, folder, call.cloud.cloud_id]

    def read(self, call: Call, request: Message) -> Message:
        """The first records of a group that are asked for, oldest first."""
        wanted, answer = request.criteria, call.answer()
        for name in ("levels", "filter", "stream_names", "max_response_size"):
            if getattr(wanted, name):
                raise ApiError(Code.UNIMPLEMENTED, f"criteria.{name} is not part of the emulated cloud")
        if request.page_token:
            raise ApiError(Code.UNIMPLEMENTED, "page_token is not part of the emulated cloud: ask for a shorter time")
        if call.cloud.get(LOG_GROUP, wanted.log_group_id) is None:
            raise not_found("LogGroup", wanted.log_group_id)
        answer.log_group_id = wanted.log_group_id
        found = [row for row in self._records(call.cloud, wanted) if _within(wanted, row[0])]
        most = wanted.page_size or MOST
        for moment, container, text in found[:most]:
            entry = answer.entries.add(message=text)
            entry.resource.type, entry.resource.id = SOURCE, container
            entry.timestamp.FromDatetime(moment)
        answer.next_page_token = "more" if len(found) > most else ""
        return answer

    def _records(self, cloud: Cloud, wanted: Message) -> list[tuple[datetime, str, str]]:
        """When, of which container, and the line; of those that log to the group."""
        found = []
        if not wanted.resource_types or SOURCE in wanted.resource_types:
            revisions = [r for r in cloud.all(REVISION) if r.log_options.log_group_id == wanted.log_group_id]
            logging = {r.container_id for r in revisions if not r.log_options.disabled}
            for container in (item for item in cloud.all(CONTAINER) if item.id in logging):
                if not wanted.resource_ids or container.id in wanted.resource_ids:
                    for moment, text in cloud.world.printed(cloud, container):
                        found.append((datetime.fromisoformat(moment).astimezone(UTC), container.id, text))
        return sorted(found, key=lambda row: row[0])


def _within(wanted: Message, moment: datetime) -> bool:
    since = wanted.since.ToDatetime(UTC) if wanted.HasField("since") else moment
    until = wanted.until.ToDatetime(UTC) if wanted.HasField("until") else moment
    return since <= moment <= until


SERVICES = (LogGroup, Reading)

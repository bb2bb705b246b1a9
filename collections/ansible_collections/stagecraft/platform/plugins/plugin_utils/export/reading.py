"""A session that only reads, and asks nothing twice: while an export looks, the folder is taken to stand still."""

from __future__ import annotations

from typing import Any

from ...module_utils.declaration import Resource
from ...module_utils.descriptors import methods, new
from ...module_utils.session import Session


class Reading(Session):
    """Raises RuntimeError for a call that could change anything."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._answers: dict[tuple[str, str, bytes], Any] = {}

    def call(self, service: str, method: str, request: Any) -> Any:
        if not method.startswith(("Get", "List")):
            raise RuntimeError(f"an export does not call {service}.{method}")
        slot = (service, method, request.SerializeToString(deterministic=True))
        if slot not in self._answers:
            self._answers[slot] = super().call(service, method, request)
        return self._answers[slot]

    def know(self, resource: Resource, row: Any) -> None:
        """Take a row of a list for the answer to Get, where both say the same."""
        service = resource.service or f"{resource.api}Service"
        get = methods(service).get("Get")
        if (
            get
            and not resource.view
            and get.output_type is row.DESCRIPTOR
            and resource.id_field in get.input_type.fields_by_name
        ):
            request = new(get.input_type, **{resource.id_field: row.id})
            self._answers[(service, "Get", request.SerializeToString(deterministic=True))] = row

"""What the action plugins that work on the cloud have in common: they run on the controller, in its own Python."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.connection import argument_spec
from .cloud_process import CloudError, ask
from .connection import connection
from .progress import Hear, hearing
from .run_agent import still_ours

display = Display()


class CloudAction(ActionBase):
    """A subclass has SPEC, the options it has besides the connection's, RELATIONS between them, and `work`. One that CHANGES
    the cloud is stopped when the run has lost its lease. `variables` are those of the task.
    """

    SPEC: ClassVar[dict[str, dict[str, Any]]] = {}
    RELATIONS: ClassVar[dict[str, Any]] = {}
    CHANGES = False
    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result, self.variables = super().run(tmp, task_vars), task_vars or {}
        try:
            options = self._checked()
            if self.CHANGES and not self._task.check_mode:
                still_ours(connection(options))
            return result | self.work(options)
        except CloudError as error:
            return result | {"failed": True, "changed": False, "msg": str(error)} | error.details

    def work(self, options: dict[str, Any]) -> dict[str, Any]:
        """Do it; the answer is the task's result. May raise CloudError."""
        raise NotImplementedError

    def _checked(self) -> dict[str, Any]:
        """The task's options, checked and completed. No message repeats a value that is secret."""
        validator = ArgumentSpecValidator(argument_spec() | self.SPEC, **self.RELATIONS)
        checked = validator.validate(dict(self._task.args))
        if checked.error_messages:
            raise AnsibleActionFail("; ".join(checked.error_messages))
        return checked.validated_parameters

    def _ask(self, job: str, request: dict[str, Any], on_event: Hear | None = None) -> Any:
        return ask(job, request, hearing(on_event))

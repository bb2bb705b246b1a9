"""What the command itself asks of a cloud: jobs of the collection, each in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from stagecraft.stages import Refused, import_collection


def done(job: str, variables: Mapping[str, str], console: Console, **request: Any) -> Any:
    """The answer of a job to a request, where `variables` say which cloud and who asks.

    What is tried again is said on the console. Raises Refused with the cloud's own words where it would not.
    """
    import_collection()
    from ansible_collections.stagecraft.platform.plugins.module_utils.connection import VARIABLES
    from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import CloudError, ask

    connection = {option: value for option, name in VARIABLES.items() if (value := variables.get(name))}

    def hear(event: dict[str, Any]) -> None:
        console.print(f"  {event['notice']}", soft_wrap=True, markup=False)

    try:
        return ask(job, {"connection": connection, **request}, hear)
    except CloudError as error:
        raise Refused(str(error)) from None

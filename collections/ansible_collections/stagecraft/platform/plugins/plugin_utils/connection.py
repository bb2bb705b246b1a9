"""The options that say where the cloud is, as `Session.from_options` takes them."""

from __future__ import annotations

import os
from typing import Any

from ..module_utils.connection import OPTIONS, SECRET, VARIABLES


def connection(options: dict[str, Any]) -> dict[str, Any]:
    """Those that are set; the others come from the environment, which the worker process has too."""
    return {name: str(options[name]) for name in OPTIONS if options.get(name)}


def hidden(options: dict[str, Any]) -> list[str]:
    """Values that must not come back in any answer."""
    return [options[name] for name in SECRET if options.get(name)]


def where(options: dict[str, Any]) -> tuple[str, str]:
    """Endpoint and folder, from the options or from the variables behind them: what tells one stage from another."""
    return (
        options.get("endpoint") or os.environ.get(VARIABLES["endpoint"], ""),
        options.get("folder") or os.environ.get(VARIABLES["folder"], ""),
    )

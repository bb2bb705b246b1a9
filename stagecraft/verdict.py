"""Commands whose exit code is a verdict: 0 nothing, 2 something; what is wrong with the command or the stage is 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer.core import TyperCommand

from stagecraft.stages import Refused

SOMETHING, ERROR = 2, 1  # 2 elsewhere means that the command line is wrong


class Verdict(TyperCommand):
    """A wrong command line must not be taken for something."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        try:
            return super().make_context(*arguments, **more)
        except Exception as error:
            if getattr(error, "exit_code", 0) == SOMETHING:
                error.exit_code = ERROR  # type: ignore[attr-defined]
            raise


@contextmanager
def errors() -> Iterator[None]:
    """Let no refusal have the exit code of a verdict."""
    try:
        yield
    except Refused as refused:
        raise Refused(str(refused), ERROR if refused.code == SOMETHING else refused.code) from None

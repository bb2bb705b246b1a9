"""How tests wait for what comes by itself."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for[Answer](what: str, asked: Callable[[], Answer], seconds: float = 60, pause: float = 0.1) -> Answer:
    """The first true answer of `asked`, which is asked once more after `seconds`. Fails then, with `what` was waited for
    and what it said last."""
    deadline = time.monotonic() + seconds
    while True:
        late = time.monotonic() >= deadline
        if answer := asked():
            return answer
        assert not late, f"not within {seconds:.0f} s: {what}; the last answer was {answer!r}"
        time.sleep(pause)

"""Faults on order: what a test wants to go wrong."""

from __future__ import annotations

import random
import threading
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

from rehearsal.cloud.errors import code_of

EFFECTS = {
    "refuse": "the call ends with `code` before anything is done",
    "lose": "the work is done, then the call ends with `code`: its answer is lost",
    "slow": "the call is answered `delay` seconds later",
    "fail_operation": "the call is accepted; its operation ends with `code`, and its work is undone",
    "hang_operation": "the call is accepted; its operation never ends (until the fault is cleared)",
}


@dataclass
class Fault:
    """One order. `method` is a pattern such as `vpc.v1.*.Create`; `count` None means every time, `chance` below 1 only
    that part of the times. `taken` counts how often it happened."""

    method: str
    effect: str = "refuse"
    code: str = "UNAVAILABLE"
    message: str = "injected fault"
    count: int | None = 1
    delay: float = 0.0
    chance: float = 1.0
    taken: int = 0

    def __post_init__(self) -> None:
        if self.effect not in EFFECTS:
            raise ValueError(f"{self.effect!r} is no effect; one of: {', '.join(EFFECTS)}")
        if not 0 < self.chance <= 1:
            raise ValueError(f"chance: {self.chance} is not above 0 and at most 1")
        code_of(self.code)


class Faults:
    """The orders in force. Kept in memory only: a restarted emulator is a healthy one."""

    def __init__(self) -> None:
        self.random = random.Random()  # noqa: S311 - whoever wants the same faults again seeds it
        self._orders: list[Fault] = []
        self._lock = threading.Lock()
        self.cleared = threading.Event()  # wakes the operations that hang; a new one is made by each clear()

    def add(self, method: str, **order: object) -> Fault:
        """Order a fault; see `Fault` and `EFFECTS`. Raises ValueError for an unknown effect or code."""
        fault = Fault(method, **order)
        with self._lock:
            self._orders.append(fault)
        return fault

    def clear(self) -> None:
        """Forget every order and let what hangs go on."""
        with self._lock:
            self._orders.clear()
            self.cleared.set()
            self.cleared = threading.Event()

    def take(self, method: str, *effects: str) -> Fault | None:
        """The first order that fits a method, counted down; None where all is well."""
        with self._lock:
            for fault in self._orders:
                fits = fault.effect in effects and fault.count != 0 and fnmatchcase(method, fault.method)
                if fits and (fault.chance == 1 or self.random.random() < fault.chance):
                    if fault.count is not None:
                        fault.count -= 1
                    fault.taken += 1
                    return fault
        return None

    def listed(self) -> list[dict]:
        with self._lock:
            return [asdict(fault) for fault in self._orders]

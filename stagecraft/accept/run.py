"""The steps of an acceptance: a folder, the stage in it, its checks, and all of it gone again, whatever happens between."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.markup import escape

from rehearsal.world import WorldError
from stagecraft import cloud_jobs, playbooks, rehearse, supervision, verification
from stagecraft.accept.report import Report, Step
from stagecraft.stages import Refused
from stagecraft.target import Target

FAILURES = (Refused, WorldError, OSError)
SIGNALLED = 128  # exit codes above it are of signals
ADVICE = re.compile(r"^  (a shell there|what next): ")  # lines about a stage that stands; this one is gone by then


@dataclass
class Acceptance:
    """One acceptance on its way. `target` is the stage and who acts; the folder is made in the cloud of that id."""

    target: Target
    cloud: str
    name: str  # of the folder
    seconds: float  # that building and checking may take
    console: Console
    report: Report
    folder: str = field(default="", init=False)  # its id, once it is made

    @property
    def inside(self) -> Target:
        """The stage in the folder of its own."""
        return replace(self.target, variables={**self.target.variables, "YC_FOLDER_ID": self.folder})

    def run(self) -> Report:
        """Do all steps and take everything away again; what failed is in the report, nothing is raised."""
        try:
            with within(self.seconds):
                self.build()
        except FAILURES as error:
            self.report.failure = why(error, self.report.steps)
        finally:
            self.end()
        return self.report

    def end(self) -> None:
        """Take everything away; what stays is in the report."""
        try:
            self.take_down()
        except FAILURES as error:
            self.report.failure = self.report.failure or why(error, self.report.steps)
            self.report.left = f"the folder {self.name}"

    def build(self) -> None:
        """The folder, the stage, and its checks. Raises Refused."""
        with self.step("Make a folder"), supervision.held_back():
            self.folder = self.brought("present")
        with self.step("Build"):
            playbooks.run(self.inside, self.target.stage.playbook, self.console)
        with self.step("Verify"):
            _, self.report.checks = verification.verify(self.inside, self.console)

    def take_down(self) -> None:
        """Whatever was made, also where a step was cut off before it could say so. Raises Refused where something stays."""
        self.folder = self.folder or self.brought("info")
        if not self.folder:
            return
        with self.step("Destroy, and ask every service what is left"):
            rehearse.emptied(self.inside, self.console, self.target.stage.name)
        with self.step("Delete the folder"):
            self.brought("absent")

    def brought(self, state: str) -> str:
        """Bring the folder to a state; its id, empty where there is none. Raises Refused."""
        said = f"An acceptance of {self.target.stage.name}; it goes when that is over"
        request = {"cloud": self.cloud, "name": self.name, "state": state, "description": said}
        with self.target.inside():
            done = cloud_jobs.done("folder", self.target.environment(), self.console, **request)
        return str(done["id"])

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note how long a step takes, and what comes of it."""
        self.console.print(f"[bold]{escape(name)}")
        started, outcome = time.monotonic(), "failed"
        try:
            yield
            outcome = "done"
        except Refused as refused:
            outcome = "stopped" if refused.code > SIGNALLED else "failed"
            raise
        finally:
            self.report.steps.append(Step(name, time.monotonic() - started, outcome))


def why(error: Exception, steps: list[Step]) -> str:
    """The words of what went wrong, without advice that would be about a stage that stands."""
    during = steps[-1].name if steps else "the beginning"
    if getattr(error, "code", 1) > SIGNALLED:
        return f"It was stopped during: {during}."
    lines = [line for line in str(error).splitlines() if not ADVICE.match(line)]
    return "\n".join([f"It failed during: {during}.", *lines])


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Stop the block, as a signal would, when its time is over. Raises Refused then."""
    over = threading.Event()

    def stop() -> None:
        over.set()
        os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Refused:
        if over.is_set():
            raise Refused(f"The {seconds / 3600:g} hours that it may take were over (--hours).") from None
        raise
    finally:
        timer.cancel()

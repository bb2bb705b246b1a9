"""A process that serves ends when it is asked to, whichever of its threads hears it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVER = """
import signal, threading, time
from rehearsal.ending import Asked

asked = Asked()
assert not asked.wait(0)

def another_thread():
    time.sleep(0.5)  # the main thread waits by then
    signal.pthread_kill(threading.get_ident(), signal.{name})
    time.sleep(600)

threading.Thread(target=another_thread, daemon=True).start()
assert asked.wait() and asked.wait(0)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_another_thread_hears_ends_the_wait(name):
    subprocess.run([sys.executable, "-c", SERVER.format(name=name)], cwd=ROOT, timeout=60, check=True)

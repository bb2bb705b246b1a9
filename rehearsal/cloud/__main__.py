"""`python -m rehearsal.cloud --folder F`: the emulator as a process of its own."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from pathlib import Path

from rehearsal.cloud import server
from rehearsal.ending import Asked
from rehearsal.world import World, WorldError


def _world(name: str) -> World:
    """`module:factory`, called without arguments."""
    module, _, factory = name.partition(":")
    return getattr(importlib.import_module(module), factory)()


def main() -> None:
    """Serve until SIGTERM or SIGINT; then end cleanly."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.cloud", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the state is kept")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--rest-host", default="127.0.0.1", help="where the REST interface answers")
    parser.add_argument("--rest-port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that every operation takes at least")
    parser.add_argument("--no-quotas", dest="quotas", action="store_false", help="only limits that somebody sets hold")
    parser.add_argument(
        "--world", default="rehearsal.world:World", help="module:factory of what stands behind the cloud"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    end = Asked()
    where = {"host": given.host, "port": given.port, "rest": (given.rest_host, given.rest_port)}
    try:
        emulator = server.start(
            given.folder, world=_world(given.world), delay=given.delay, quotas=given.quotas, **where
        )
    except (OSError, WorldError) as error:
        raise SystemExit(f"the emulated cloud cannot start: {error}") from error
    print(f"ready {emulator.address}", flush=True)
    end.wait()
    emulator.stop()
    sys.stdout.flush()
    os._exit(0)  # everything is closed; threads of gRPC that are still ending do not hold this up


if __name__ == "__main__":
    main()

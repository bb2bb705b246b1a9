"""The machines of a folder with their SSH host keys, read where cloud-init prints them: on the serial port."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from yandex.cloud.compute.v1.instance_pb2 import Instance
from yandex.cloud.compute.v1.instance_service_pb2 import GetInstanceSerialPortOutputRequest

from ...module_utils.declaration import Fail
from ...module_utils.session import Session
from ..connection import hidden
from .instances import SERVICE, described, every_instance, matcher

BLOCK = re.compile(r"BEGIN SSH HOST KEY KEYS-*(.*?)-*END SSH HOST KEY KEYS", re.DOTALL)
KEY = re.compile(r"\b(ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa) (AAAA[0-9A-Za-z+/]+={0,3})")
COMING = {Instance.Status.Name(s) for s in (Instance.PROVISIONING, Instance.STARTING, Instance.RUNNING)}
WORKERS = 16
PAUSE = 1.0  # seconds between looks at one serial port


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """Machines that match `filters`, with `keys`: those in `known` by instance id, else read from the serial port.

    Waits `timeout` seconds for machines that are starting. One that is stopped and unknown is in `skipped`.
    """
    answers.hide(hidden(request["connection"]))
    matches, known = matcher(request.get("filters") or {}), request["known"]
    session = Session.from_options(request["connection"])
    session.notice = answers.notice
    machines = sorted((i for i in every_instance(session) if matches(i)), key=lambda i: i.name)
    deadline = time.monotonic() + request["timeout"]
    ready = [i for i in machines if i.id in known or Instance.Status.Name(i.status) in COMING]
    with ThreadPoolExecutor(WORKERS) as pool:
        keys = list(pool.map(lambda i: known.get(i.id) or wait_for_keys(session, i, deadline, answers), ready))
    if late := [f"{i.name} ({i.id})" for i, its_keys in zip(ready, keys, strict=True) if not its_keys]:
        raise Fail(
            f"no SSH host keys on the serial port after {request['timeout']} s: {', '.join(late)}. "
            "cloud-init prints them at the first start; how far it came: yc compute instance get-serial-port-output <id>"
        )
    return {
        "machines": [described(i, ["name"]) | {"keys": k} for i, k in zip(ready, keys, strict=True)],
        "skipped": sorted(i.name for i in machines if i not in ready),
    }


def wait_for_keys(session: Session, instance: Instance, deadline: float, answers: Any) -> list[str]:
    """Host keys as lines `type base64`; empty when the time is over."""
    request = GetInstanceSerialPortOutputRequest(instance_id=instance.id)
    started = time.monotonic()
    while True:
        keys = printed_keys(session.call(SERVICE, "GetSerialPortOutput", request).contents)
        if keys:
            answers.event({"name": instance.name, "seconds": time.monotonic() - started})
        if keys or time.monotonic() + PAUSE > deadline:
            return keys
        time.sleep(PAUSE)


def printed_keys(console: str) -> list[str]:
    """Host keys in the last complete block of a console's text, sorted."""
    blocks = BLOCK.findall(console)
    return sorted({f"{kind} {key}" for kind, key in KEY.findall(blocks[-1])}) if blocks else []

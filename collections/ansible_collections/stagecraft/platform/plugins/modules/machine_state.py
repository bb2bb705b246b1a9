#!/usr/bin/python
# Copyright: Stagecraft contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Record what a machine is like after a run, and say later what was changed on it since, and when."""

from __future__ import annotations

DOCUMENTATION = r"""
module: machine_state
short_description: What was changed on a machine since it was last applied
version_added: "0.1.0"
author: [Stagecraft contributors (@stagecraft)]
description:
  - Records the state of a machine in a file of its own, or compares the machine with that record. Reads files only, and asks
    systemd once.
  - Files are those that trees of M(stagecraft.platform.config_tree) own, those of sudo, and units and drop-ins in
    C(/etc/systemd/system) that no package has brought. Of content, a checksum and the size are told; of a file that not
    everybody may read, only the size.
  - Packages are those that somebody asked for; versions, and what comes and goes as a dependency, are no drift.
  - Units are those that links enable or mask, and services, sockets and timers that stop, or that somebody starts.
  - Ports are TCP ports that listen, and UDP ports below the range of clients, without those of DHCP clients.
  - Users and groups are those of the machine's own files, with keys by their fingerprints and whether a password is set.
options:
  state:
    description: V(recorded) writes the record, at the end of a run; V(compared) changes nothing.
    type: str
    choices: [recorded, compared]
    required: true
  path:
    description: The record. Only root reads it.
    type: path
    default: /var/lib/stagecraft/machine-state.json
  began:
    description:
      - When the run began, such as V(2026-01-31T23:59:59Z). Only for O(state=recorded). What had changed between the last
        record and that time was not done by the run, so its recorded value is kept, and it stays drift until somebody
        undoes it.
      - What has no known time of change is recorded as it is, as is everything where this is not given.
    type: str
  ran:
    description: The same as an age, in seconds, for a controller whose clock is not that of the machine.
    type: int
  inputs:
    description:
      - What the roles have read, as P(stagecraft.platform.role_inputs#lookup) says it. V(recorded) keeps it, and V(compared)
        tells by RV(as_left) whether it is the same now.
    type: str
    default: ""
  ignore:
    description:
      - What to leave out, as C(<kind> <name>) or C(<kind> <name> <field>), where name and field may have C(*), C(?) and
        C([...]). Only for O(state=compared).
    type: list
    elements: str
    default: []
attributes:
  check_mode: {description: Records nothing., support: full}
  diff_mode: {description: A record is no change to a machine., support: none}
"""

EXAMPLES = r"""
- name: Record what the run has made
  stagecraft.platform.machine_state:
    state: recorded
    began: "2026-01-31T23:59:59Z"

- name: What was changed since
  stagecraft.platform.machine_state:
    state: compared
    ignore: [package tcpdump, file /etc/nginx/* mode, user alice]
  register: machine
"""

RETURN = r"""
as_left:
  description: >-
    Whether nothing differs from the record, O(ignore) or not, and it was made with the same O(inputs), so that the same run
    would find nothing to do. Never without O(inputs).
  returned: with O(state=compared)
  type: bool
drift:
  description: >-
    What is not as it was recorded; with O(state=recorded), what stays drift because it had changed before O(began). Each has
    C(kind) (V(file), V(group), V(package), V(port), V(unit) or V(user)), C(name), C(what) (V(changed), V(gone) or V(new)),
    C(field) (empty for what is gone or new), C(old), C(new) (of a port, its process), and C(since), a time in UTC or, where
    it is not known, nothing. Of what is gone, it is the latest time at which that can have been.
  returned: always
  type: list
  elements: dict
  sample:
    - kind: file
      name: /etc/nginx/nginx.conf
      what: changed
      field: mode
      old: "0644"
      new: "0666"
      since: "2026-01-31T23:59:59Z"
ignored:
  description: How much O(ignore) has left out.
  returned: always
  type: int
recorded:
  description: When the record was written, in UTC; empty where there is none.
  returned: always
  type: str
"""

import datetime
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_paths import TreeError
from ansible_collections.stagecraft.platform.plugins.module_utils.drift import MACHINE_KINDS, drift_ignored
from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state import (
    Record,
    State,
    adopt,
    clock,
    compare,
    take,
)
from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_record import Damaged, load, save
from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_units import COMMAND

ARGUMENTS = {
    "state": {"type": "str", "choices": ["recorded", "compared"], "required": True},
    "path": {"type": "path", "default": "/var/lib/stagecraft/machine-state.json"},
    "began": {"type": "str"},
    "ran": {"type": "int"},
    "inputs": {"type": "str", "default": ""},
    "ignore": {"type": "list", "elements": "str", "default": []},
}


def moment(text: str) -> float:
    """The time that the text gives, in seconds since 1970. Raises ValueError."""
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f"{text!r} is no time with its zone, such as 2026-01-31T23:59:59Z")
    return at.timestamp()


def option(module: AnsibleModule, name: str, state: str, read):
    """What `read` makes of an option that is only for one state. Ends the module where it is wrong."""
    value = module.params[name]
    if value and module.params["state"] != state:
        module.fail_json(msg=f"{name}: is only for state={state}")
    try:
        return read(value)
    except ValueError as error:
        module.fail_json(msg=f"{name}: {error}")


def last_written(module: AnsibleModule, unit: str) -> float | None:
    """When systemd last wrote of a unit, as of one that it has stopped and forgotten."""
    ask = ["journalctl", "--quiet", "--no-pager", "--output=json", "--lines=1", "_PID=1", f"UNIT={unit}"]
    code, out, _ = module.run_command(ask)
    return int(json.loads(out)["__REALTIME_TIMESTAMP"]) / 1e6 if code == 0 and out.strip() else None


def look(module: AnsibleModule, record: Record | None) -> State:
    """What the machine is now. Ends the module where systemd does not answer."""
    code, out, error = module.run_command(COMMAND)
    if code:
        module.fail_json(msg=f"systemctl show: {error.strip()}")
    return take("", record, out, lambda unit: last_written(module, unit))


def compared(module: AnsibleModule, ignored: Callable[[Mapping[str, str]], bool]) -> dict:
    """What differs from the record."""
    record = load(module.params["path"])
    if record is None:
        return {"drift": [], "ignored": 0, "recorded": "", "as_left": False}
    rows = [one.row() for one in compare(record, look(module, record))]
    left = [row for row in rows if not ignored(row)]
    inputs = module.params["inputs"]
    as_left = bool(inputs) and inputs == record.inputs and not rows
    return {"drift": left, "ignored": len(rows) - len(left), "recorded": record.written, "as_left": as_left}


def recorded(module: AnsibleModule, began: float) -> dict:
    """Write the record; what stays drift."""
    try:
        last = load(module.params["path"])
    except Damaged as error:
        module.warn(str(error))
        last = None
    before = last if began else None
    now, written = look(module, before), clock(time.time())
    record = adopt(before, now, written, began) if before else Record(written, now.things)
    record = replace(record, inputs=module.params["inputs"])
    if not module.check_mode:
        save(module.params["path"], record)
        last = record
    rows = [one.row() for one in compare(record, now)]
    return {"drift": rows, "ignored": 0, "recorded": last.written if last else ""}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True, mutually_exclusive=[("began", "ran")])
    began = option(module, "began", "recorded", lambda text: moment(text) if text else 0.0)
    began = option(module, "ran", "recorded", lambda age: began if age is None else time.time() - age)
    ignored = option(module, "ignore", "compared", lambda patterns: drift_ignored(patterns, MACHINE_KINDS))
    try:
        found = recorded(module, began) if module.params["state"] == "recorded" else compared(module, ignored)
    except (Damaged, TreeError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()

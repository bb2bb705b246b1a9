#!/usr/bin/python
# Copyright: Stagecraft contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Say which Debian packages are installed: what M(stagecraft.platform.packages) asks of a host first."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Debian packages that are there, and others that are not
version_added: "0.1.0"
author: [Stagecraft contributors (@stagecraft)]
description:
  - Asks dpkg once. Where everything is as it should be, nothing else is done; otherwise M(ansible.builtin.apt) installs what
    is missing, without recommended packages and without starting its services, and purges what is not wanted.
  - Before it installs, it refreshes package lists that are older than an hour.
  - Where dpkg was killed at its work, as when the host was, it first lets it finish that.
options:
  present:
    description: Names of packages to have, without versions.
    type: list
    elements: str
    default: []
  absent:
    description: Names of packages to purge, with their configuration.
    type: list
    elements: str
    default: []
  refresh:
    description: Refresh the package lists first, even if everything is there. For a source that has just changed.
    type: bool
    default: false
attributes:
  check_mode: {description: Says what would be installed and purged., support: full}
  diff_mode: {description: Names what is installed and purged., support: full}
"""

EXAMPLES = r"""
- name: Install nginx, not yet started
  stagecraft.platform.packages:
    present: [nginx]
"""

RETURN = r"""
interrupted:
  description: Whether dpkg had been killed at its work, which was finished.
  returned: always
  type: bool
missing:
  description: Packages of RV(ignore:present) that were not installed before.
  returned: always
  type: list
  elements: str
unwanted:
  description: Packages of RV(ignore:absent) that were there before.
  returned: always
  type: list
  elements: str
"""

import fcntl
import os

from ansible.module_utils.basic import AnsibleModule

GONE = "not-installed"
JOURNAL, LOCK = "/var/lib/dpkg/updates", "/var/lib/dpkg/lock-frontend"
POLICY = "/usr/sbin/policy-rc.d"
NO_START = 101  # what it answers while packages are installed: a service starts when its configuration is there
OURS = f"#!/bin/sh\nexit {NO_START}\n"  # as ansible.builtin.apt writes it, and takes it away unless it is killed
FINISH = (
    ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"],
    ["apt-get", "--yes", "--fix-broken", "--no-install-recommends", "install"],
)


def interrupted() -> bool:
    """Whether dpkg was killed at its work: its journal has entries, or services are still kept from starting, and nobody is
    at it now."""
    entries = any(name.isdigit() for name in os.listdir(JOURNAL))  # what apt asks before it refuses to do anything
    if not entries and not kept_from_starting():
        return False
    with open(LOCK, "w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def kept_from_starting() -> bool:
    try:
        with open(POLICY) as file:
            return file.read() == OURS
    except OSError:
        return False


def finish(module: AnsibleModule) -> None:
    """Let dpkg and apt do what they had begun, without starting services. Ends the module where they cannot."""
    try:
        with open(POLICY, "x", opener=lambda name, flags: os.open(name, flags, 0o755)) as file:
            file.write(OURS)
    except FileExistsError:
        pass
    for command in FINISH:
        code, out, error = module.run_command(command, environ_update={"DEBIAN_FRONTEND": "noninteractive"})
        if code:
            said = " ".join((error or out).split())
            module.fail_json(msg=f"dpkg was killed at its work, and {' '.join(command)} cannot finish that: {said}")
    if kept_from_starting():
        os.remove(POLICY)


def main() -> None:
    """The host's half: compare with dpkg's database, and change nothing but what was left half done."""
    module = AnsibleModule(
        {
            "present": {"type": "list", "elements": "str", "default": []},
            "absent": {"type": "list", "elements": "str", "default": []},
            "refresh": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    resumed = interrupted()
    if resumed and not module.check_mode:
        finish(module)
    present, absent = module.params["present"], module.params["absent"]
    names = [*present, *absent]
    # It exits with 1 when it does not know one of the names, which is an answer.
    code, out, error = (
        module.run_command(["dpkg-query", "--show", r"--showformat=${Package} ${db:Status-Status}\n", *names])
        if names
        else (0, "", "")
    )
    if code not in (0, 1):
        module.fail_json(msg=f"dpkg-query: {error.strip()}")
    status = dict(line.split(" ", 1) for line in out.splitlines())
    module.exit_json(
        changed=resumed,
        interrupted=resumed,
        missing=[name for name in present if status.get(name) != "installed"],
        unwanted=[name for name in absent if status.get(name, GONE) != GONE],
    )


if __name__ == "__main__":
    main()

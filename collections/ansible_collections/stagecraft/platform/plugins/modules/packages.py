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

from ansible.module_utils.basic import AnsibleModule

GONE = "not-installed"


def main() -> None:
    """The host's half: compare with dpkg's database and change nothing."""
    module = AnsibleModule(
        {
            "present": {"type": "list", "elements": "str", "default": []},
            "absent": {"type": "list", "elements": "str", "default": []},
            "refresh": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
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
        changed=False,
        missing=[name for name in present if status.get(name) != "installed"],
        unwanted=[name for name in absent if status.get(name, GONE) != GONE],
    )


if __name__ == "__main__":
    main()

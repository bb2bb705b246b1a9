#!/usr/bin/python
"""Documentation of an action plugin: the work is done on the controller, by plugins/action/yc_lease.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: yc_lease
short_description: Let one run at a time change a Yandex Cloud folder
description:
  - Takes the lease of the folder, so that two runs cannot change a stage at once. Where another run has it, this one waits,
    or stops with who that is and since when.
  - The lease is a service account without roles, named C(stagecraft-lease-)I(folder). It exists before anything else of
    the stage has to, and nothing is left of it when it is let go.
  - A process beside the run renews it, and lets it go when the run ends, however that ends. Where the whole machine is gone,
    it ends by itself after its time to live, and the next run takes it over.
  - A run that lost its lease, because the cloud did not answer for that long, is stopped by its next task that would change
    the cloud.
  - In check mode none is taken. A lease is no change to a stage, so this never reports one.
  - Clocks of controllers have to agree to within a tenth of the time to live.
  - Runs on the controller, whatever the host of the task is.
author: [Stagecraft]
extends_documentation_fragment: [stagecraft.platform.connection]
options:
  state:
    description: C(present) takes it, once a run; C(absent) lets it go, and fails if it was lost meanwhile.
    type: str
    choices: [present, absent]
    default: present
  ttl:
    description:
      - How long it holds without being renewed, such as C(10m); it is renewed three times as often.
      - Longer bears a longer silence of the cloud; shorter makes way sooner where the machine of a run is gone.
    type: str
    default: 10m
  wait:
    description: How long to wait for another run, such as C(30s) or C(1h); C(0s) stops at once.
    type: str
    default: 30s
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Be the only run that changes the stage
  stagecraft.platform.yc_lease:
    wait: 10m

- name: Let others change it
  stagecraft.platform.yc_lease:
    state: absent
"""

RETURN = r"""
held:
  description: Whether this run has the lease now.
  type: bool
  returned: always
holder:
  description: Who acts, with C(user), C(host), C(process), C(playbook), C(commit) and C(uncommitted_changes).
  type: dict
  returned: always
since:
  description: When it was taken, in seconds since the epoch.
  type: int
  returned: when it was taken
until:
  description: When it would end if it were not renewed any more, in seconds since the epoch.
  type: int
  returned: when it was taken
"""

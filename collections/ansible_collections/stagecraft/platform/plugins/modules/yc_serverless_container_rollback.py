#!/usr/bin/python
"""Documentation of an action plugin: the work is done by plugins/action/yc_serverless_container_rollback.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: yc_serverless_container_rollback
short_description: Let an earlier revision of a serverless container serve again
description:
  - The cloud starts an instance of that revision first, and keeps the one that serves where none starts.
  - An action and no state, because a declaration says what should serve. The next run of unchanged declarations deploys
    what they say again, so change them, or fix what was deployed, before that.
  - A revision carries its variables and the versions of its secrets for ever. One from before a rotation is refused, because
    it would let the old keys in again and refuse the new ones.
  - Runs on the controller, whatever the host of the task is.
author: [Stagecraft]
extends_documentation_fragment: [stagecraft.platform.connection]
options:
  name:
    description: Name of the container.
    type: str
    required: true
  revision:
    description:
      - ID of a revision that has served, as the state C(info) of M(stagecraft.platform.yc_serverless_container) lists
        them. Where it serves already, nothing is changed.
      - By default the newest one from before the one that serves, so that every run goes back another step.
    type: str
    default: ""
  rotated:
    description:
      - Variables whose values a rotation changes, such as the hashes of API keys. A revision in which one of them has another
        value than in the revision that serves is from before a rotation.
      - So is one with a version of a Lockbox secret that is not the current one; this needs no option.
    type: list
    elements: str
    default: []
  revive:
    description: Go back across a rotation too, and bring the old keys back to life.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Changes nothing and says what would change.
  diff_mode:
    support: full
    description: Shows both revisions.
"""

EXAMPLES = r"""
- name: Go back to the revision before
  stagecraft.platform.yc_serverless_container_rollback:
    name: api
"""

RETURN = r"""
revision:
  description: The revision that serves now; in check mode, that would.
  returned: success
  type: dict
  contains:
    id:
      description: Its ID.
      type: str
    created_at:
      description: When it was deployed.
      type: str
    image_url:
      description: Its image.
      type: str
    image_digest:
      description: The image's digest.
      type: str
last_lines:
  description: The end of what the container has printed while the revision before served, of the last day, where it logs to a group.
    One line says why, where it cannot be read.
  returned: success
  type: list
  elements: str
container:
  description: The container, as M(stagecraft.platform.yc_serverless_container) returns it.
  returned: success
  type: dict
"""

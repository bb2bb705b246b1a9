#!/usr/bin/python
"""Documentation of an action plugin: the work is done on the controller, by plugins/action/ssh_config.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_config
short_description: Let SSH reach a stage's machines
description:
  - Writes an C(ssh_config) and a C(known_hosts) for the instances of a folder, so that SSH, Ansible and Testinfra reach
    each by its name, through the bastion, and check its host key strictly.
  - Host keys are read from the serial port, where cloud-init prints them at the first start. They are read once for
    each instance; a machine that was created again has a new id, and so its new key is read.
  - Machines that are gone are taken out. Both files are replaced in one step each, readable by their owner only.
  - Runs on the controller, whatever the host of the task is.
author: [Stagecraft]
extends_documentation_fragment: [stagecraft.platform.connection]
options:
  path:
    description: The C(ssh_config) to write.
    type: path
    required: true
  known_hosts:
    description: The C(known_hosts) to write.
    type: path
    required: true
  user:
    description: Whom to log in as.
    type: str
    default: stagecraft
  identity_file:
    description: The private key to log in with; no other is offered then.
    type: path
  bastion:
    description:
      - Value of the label O(role_label) of the machine that the others are reached through, by its public address.
      - Without it every machine is reached directly.
    type: str
  role_label:
    description: The label that says what a machine is for.
    type: str
    default: stagecraft-role
  filters:
    description: Only these instances, as in P(stagecraft.platform.yc_compute#inventory).
    type: dict
    default: {}
  control_folder:
    description: Where SSH keeps the sockets of connections that are shared. Its path has to be short.
    type: path
    default: ~/.ansible/cp
  timeout:
    description: How many seconds to wait for the keys of machines that are starting.
    type: int
    default: 300
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Reach the machines
  stagecraft.platform.ssh_config:
    path: ~/.local/state/stagecraft/partners/ssh_config
    known_hosts: ~/.local/state/stagecraft/partners/known_hosts
    identity_file: ~/.local/state/stagecraft/partners/id_ed25519
    bastion: bastion
    filters: {labels: {stagecraft-stage: partners}}
"""

RETURN = r"""
hosts:
  description: Names of the machines that can be reached.
  type: list
  elements: str
  returned: success
skipped_hosts:
  description: Machines that are stopped and whose keys were never read.
  type: list
  elements: str
  returned: success
bastion:
  description: Name of the machine that the others are reached through; none without O(bastion).
  type: str
  returned: success
"""

#!/usr/bin/python
"""Documentation of an action plugin: the work is done on the controller, by plugins/action/yc_stack.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: yc_stack
short_description: Apply many Yandex Cloud resources at once
description:
  - Brings all declared resources to their state in one process, independent ones at the same time, each after what it
    refers to (before it, when deleting).
  - Every declaration is checked before the first call, and everything that is wrong is said at once.
  - A reference names something in the same list, or something in the folder by its name or its ID. All references are
    resolved before anything is changed, in check mode too; those to nothing are said at once, each with the nearest name.
  - Each resource is shown as it is done, and while the API does not answer, what is tried again. One that fails does not stop those that do not need it; the task fails then, and
    the same run again goes on from there.
  - Declarations, which may hold secrets, reach the process by its standard input, never its arguments; no secret is in
    the result, the diff or any log.
  - Runs on the controller, whatever the host of the task is.
author: [Stagecraft]
extends_documentation_fragment: [stagecraft.platform.connection]
options:
  resources:
    description:
      - A list; each entry has one key, the name of a module without C(yc_), with that module's options.
      - Or a dictionary of such kinds. Each is a dictionary of options by name, or, for what has no name of its own or
        shares it with another, a list of options.
    type: raw
    required: true
  state:
    description:
      - For declarations that do not say; C(info) only looks.
      - C(declared) only checks the declarations, their references, and that the folder is no other stage's, for a playbook
        that has something to do before the resources. Nothing is changed, and nothing is returned.
    type: str
    choices: [present, absent, info, declared]
    default: present
  workers:
    description: How many resources at once.
    type: int
    default: 16
  stage:
    description:
      - Everything that can carry labels gets C(stagecraft-stage) with this value.
      - What carries it and is not declared is listed in RV(undeclared).
    type: str
  app:
    description: Everything that can carry labels gets C(stagecraft-app) with this value.
    type: str
  part:
    description: O(resources) are a part of the stage's, so that nothing is said of what else carries its label.
    type: bool
    default: false
  prune:
    description: Delete what is undeclared. Nothing is pruned when something failed.
    type: bool
    default: false
  applied_secrets:
    description:
      - What an earlier run returned in RV(secret_versions), as a record keeps it; empty where there is no record.
      - Where it is given, a secret whose current version is another one is sent again, and so is one that it does not
        tell of. RV(applied), RV(seen) and RV(secret_versions) are returned for the next record.
    type: dict
  seen:
    description: What an earlier run returned in RV(seen); what nobody declares is taken over from it.
    type: dict
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Build the network
  stagecraft.platform.yc_stack:
    stage: partners
    resources:
      - vpc_network: {name: main}
      - vpc_subnet: {name: a, network: main, zone: ru-central1-a, cidr: [10.0.0.0/24]}

- name: The same, by kind and name
  stagecraft.platform.yc_stack:
    stage: partners
    resources:
      vpc_network:
        main: {}
      vpc_subnet:
        a: {network: main, zone: ru-central1-a, cidr: [10.0.0.0/24]}
      iam_folder_binding:
        - {service_account: robot, role: storage.viewer}
"""

RETURN = r"""
results:
  description:
    - For each declaration, in its order, what its module would return, with C(item), what it is called, and C(seconds).
    - C(change) says of one that is there how it differs, C(fields) with where, old and new, which of its options only a new
      one can have (C(replaces)), and for which it is stopped (C(stops)).
    - In check mode C(declared) has the values that would hold, and C(was) those of one that would be deleted (with ids for
      what it refers to), as one would write them, without secrets.
    - One that failed has C(error). Where one failed, the others are only named, and only those that changed.
  type: list
  elements: dict
  returned: always
applied:
  description: For each declaration, by what it is called, the values that hold now, as one would write them, without secrets.
  type: dict
  returned: with O(applied_secrets), not in check mode, when nothing failed
seen:
  description:
    - For each declaration, all that could be declared of it, in the API's own units and without secrets. Options that are
      not declared are as they were first seen, by which M(stagecraft.platform.yc_drift) knows what was changed outside.
  type: dict
  returned: with O(applied_secrets), not in check mode, when nothing failed
secret_versions:
  description: For each declaration that names secrets the version of each that was sent, by its option.
  type: dict
  returned: with O(applied_secrets), not in check mode, when nothing failed
undeclared:
  description: Resources with the stage's label that are not declared, with C(kind), C(name) and C(id).
  type: list
  elements: dict
  returned: always
"""

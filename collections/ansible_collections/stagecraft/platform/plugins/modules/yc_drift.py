#!/usr/bin/python
"""Documentation of an action plugin: the work is done on the controller, by plugins/action/yc_drift.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: yc_drift
short_description: What was changed in a folder since a stage was last applied
description:
  - Compares everything in a Yandex Cloud folder with the record of what the last run has applied, as
    M(stagecraft.platform.stage_record) keeps it. Changes nothing, and reads no secret.
  - What the declarations ask for by now is no drift, because a run may have applied it without a record. Options that no
    declaration names are left alone by the engine, so they are not compared.
  - When something was changed, and by whom, is told where its service keeps a list of operations.
  - Runs on the controller, whatever the host of the task is.
author: [Stagecraft]
extends_documentation_fragment: [stagecraft.platform.connection]
options:
  record:
    description: The record, with C(stage), C(app), C(started) and C(resources).
    type: dict
    required: true
  declared:
    description: What is declared now, as M(stagecraft.platform.yc_stack) takes it.
    type: raw
    default: {}
  ignore:
    description:
      - What to leave out, as C(<kind> <name>) or C(<kind> <name> <field>), where name and field may have C(*), C(?) and
        C([...]). Patterns for M(stagecraft.platform.machine_state) are taken, and mean nothing here.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: What is not as it was applied
  stagecraft.platform.yc_drift:
    record: "{{ last.record }}"
    declared: "{{ stage_resources }}"
  register: drift
"""

RETURN = r"""
drift:
  description: >-
    What is not as the record has it. Each has C(what) (V(changed), V(gone) or V(new)), C(kind) as in
    M(stagecraft.platform.yc_stack), C(name), C(field), C(old) as it was applied, C(new) as it is, C(since) and C(by) where
    they are known, and C(left), whether a run leaves it so because nothing declares it.
  type: list
  elements: dict
  returned: always
ignored:
  description: How much O(ignore) has left out.
  type: int
  returned: always
of_machines:
  description: The patterns of O(ignore) that are for M(stagecraft.platform.machine_state).
  type: list
  elements: str
  returned: always
not_asked:
  description: Kinds whose service could not be asked, each with why, such as C(UNIMPLEMENTED) or C(no endpoint).
  type: dict
  returned: always
"""

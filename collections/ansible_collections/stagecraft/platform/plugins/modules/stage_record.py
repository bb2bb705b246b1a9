#!/usr/bin/python
"""Documentation of an action plugin: the work is done on the controller, by plugins/action/stage_record.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stage_record
short_description: The record of what was applied, in the stage's bucket
description:
  - Writes what a run has applied as C(records/)I(time)C(.json), I(time) being the record's C(finished), and then as
    C(records/latest.json); or reads the latest.
  - Nothing needs a record to go on. One that cannot be read is empty; where that is not because there is none yet, a line
    says why.
  - The record of a run is no change to a stage, so this never reports one. In check mode none is written.
  - Runs on the controller, whatever the host of the task is. Certificates are checked as C(AWS_CA_BUNDLE) says.
author: [Stagecraft]
extends_documentation_fragment: [stagecraft.platform.connection]
options:
  state:
    description: C(present) writes O(record), C(info) reads the latest.
    type: str
    choices: [present, info]
    default: present
  record:
    description: What was applied. It must not hold a secret. C(finished) is the time as C(2026-01-31T23:59:59Z).
    type: dict
  bucket:
    description: The bucket's name.
    type: str
    required: true
  endpoint_url:
    description: The address of Object Storage; AWS's own when not set.
    type: str
  region:
    description: The region that requests are signed for, such as C(ru-central1).
    type: str
    required: true
  access_key:
    description: The id of a static key whose account may read and write the bucket.
    type: str
    required: true
  secret_key:
    description: The secret of that key.
    type: str
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: What the last run applied
  stagecraft.platform.stage_record:
    state: info
    bucket: example
    endpoint_url: https://storage.yandexcloud.net
    region: ru-central1
    access_key: "{{ key.key_id }}"
    secret_key: "{{ key.secret }}"
  register: last
"""

RETURN = r"""
record:
  description: The latest record; empty where none can be read.
  type: dict
  returned: with O(state=info)
keys:
  description: The objects that were written.
  type: list
  elements: str
  returned: with O(state=present)
"""

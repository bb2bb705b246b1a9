#!/usr/bin/python
"""Documentation of an action plugin: the work is done on the controller, by plugins/action/yc_folder_contents.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: yc_folder_contents
short_description: List everything in a Yandex Cloud folder that a stage could own
description:
  - Asks every service whose things people make and delete in a folder, not only for what carries labels, so that a
    teardown can prove that nothing is left.
  - What nobody owns by itself is not listed, such as catalogues, quotas and backups that the cloud makes.
  - A service that the cloud at this endpoint does not have, or that refuses because it was never enabled for the folder,
    is named in RV(not_asked). One whose kinds can be declared may only be absent; a refusal is an error.
  - A network's default security group is not counted, as it goes with the network; nor is the service account whose key
    file this runs with.
  - Of the roles on the folder, those of its own service accounts are listed, and those of accounts that are deleted.
  - Runs on the controller, whatever the host of the task is.
author: [Stagecraft]
extends_documentation_fragment: [stagecraft.platform.connection]
options:
  keep:
    description: IDs of resources that are not the stage's, and are not listed.
    type: list
    elements: str
    default: []
  fail_if_any:
    description: Fail if something is there.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Prove that nothing is left
  stagecraft.platform.yc_folder_contents:
    fail_if_any: true
"""

RETURN = r"""
resources:
  description: What is there; each has C(kind) as in M(stagecraft.platform.yc_stack), C(id), C(name) and C(labels).
  type: list
  elements: dict
  returned: always
not_asked:
  description: Kinds whose service could not be asked, each with why, such as C(UNIMPLEMENTED) or C(no endpoint).
  type: dict
  returned: always
count:
  description: How many there are.
  type: int
  returned: always
"""

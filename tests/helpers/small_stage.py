"""A stage that is one network of an emulated cloud: its labels say what serves, and what served before."""

from __future__ import annotations

import shutil
from pathlib import Path

# A deployment labels the network with what the image job built and what release.txt says.
DEPLOY = """
- ansible.builtin.import_playbook: components/stage.yml
  vars: {playbook_of: %(stage)s}
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - stagecraft.platform.yc_stack:
        resources: {vpc_network: "{{ {stage: {}} }}"}
        state: info
      register: before
    - stagecraft.platform.yc_stack:
        stage: "{{ stage }}"
        app: digits
        resources: {vpc_network: "{{ {stage: {'labels': {'serves': release, 'image': image, 'before': known}}} }}"}
      vars:
        release: "{{ lookup('ansible.builtin.file', playbook_dir ~ '/../release.txt') }}"
        image: "{{ lookup('ansible.builtin.file', playbook_dir ~ '/../build/image/digest') }}"
        known: "{{ (before.results[0].network | default({}, true)).labels.serves | default('nothing') }}"
    - stagecraft.platform.yc_lease: {state: absent}
"""
ROLLBACK = """
- ansible.builtin.import_playbook: components/stage.yml
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - stagecraft.platform.yc_stack:
        resources: {vpc_network: "{{ {stage: {}} }}"}
        state: info
      register: before
    - stagecraft.platform.yc_stack:
        stage: "{{ stage }}"
        app: digits
        resources: {vpc_network: "{{ {stage: {'labels': labels | combine({'serves': labels.before})}} }}"}
      vars: {labels: "{{ before.results[0].network.labels }}"}
    - stagecraft.platform.yc_lease: {state: absent}
"""
VERIFY = """
- ansible.builtin.import_playbook: components/stage.yml
  vars: {takes_lease: false}
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - stagecraft.platform.yc_stack:
        resources: {vpc_network: "{{ {stage: {}} }}"}
        state: info
      register: now
    - ansible.builtin.command:
        argv:
          - "{{ ansible_playbook_python }}"
          - -mpytest
          - "--junitxml={{ stage_state }}/verify.xml"
          - "{{ playbook_dir }}/verification/test_small.py"
      environment: {SERVES: "{{ now.results[0].network.labels.serves }}"}
"""
CHECK = """
import os


def test_what_serves_is_good():
    assert os.environ["SERVES"].startswith("good")
"""
STAGE = """
stage: %(stage)s
app: digits
folder_id: "{{ lookup('ansible.builtin.env', 'YC_FOLDER_ID') }}"
stage_state: "{{ lookup('ansible.builtin.env', 'STAGECRAFT_STATE') }}/{{ stage }}"
"""
MAKEFILE = """
# The project's own lint and tests have tests of their own.
lint test-fast:
	@echo "$@"

system:
	@true

image:
	@mkdir -p build/image && printf sha256-of-it > build/image/digest
"""


def lay(root: Path, **deliveries: str) -> None:
    """Make small stages of a checkout, by their names and what their delivery says, in the place of its own stages."""
    for inventory in (root / "inventories").iterdir():
        if inventory.name != "shared":
            shutil.rmtree(inventory)
    for stage, delivery in deliveries.items():
        folder = root / "inventories" / stage / "group_vars" / "all"
        folder.mkdir(parents=True)
        (folder / "stage.yml").write_text(STAGE % {"stage": stage})
        (folder / "delivery.yml").write_text(f"delivery: {delivery}\n")
        (root / "inventories" / stage / "controller.yml").write_text(
            "controller:\n  hosts:\n    localhost:\n      ansible_connection: local\n"
            '      ansible_python_interpreter: "{{ ansible_playbook_python }}"\n'
        )
        (root / "playbooks" / f"{stage}.yml").write_text(DEPLOY % {"stage": stage})
    (root / "playbooks" / "verify.yml").write_text(VERIFY)
    (root / "playbooks" / "rollback.yml").write_text(ROLLBACK)
    shutil.rmtree(root / "playbooks" / "verification")
    (root / "playbooks" / "verification").mkdir()
    (root / "playbooks" / "verification" / "test_small.py").write_text(CHECK)
    (root / "release.txt").write_text("good-1\n")
    makefile = root / "Makefile"
    own = ("lint:", "test-fast:", "system:", "image:")
    kept, skipping = [], False
    for line in makefile.read_text().splitlines():
        skipping = line.startswith(own) or (skipping and line.startswith("\t"))
        if not skipping:
            kept.append(line)
    makefile.write_text("\n".join(kept) + MAKEFILE)

#!/usr/bin/python
# Copyright: Stagecraft contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Apply a tree of rendered templates: compare, validate as a set, rename into place or put everything back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_tree
short_description: Apply a role's whole configuration in one task
version_added: "0.1.0"
author: [Stagecraft contributors (@stagecraft)]
description:
  - Renders a folder of templates that mirrors the target's file system on the controller, sends the result in one
    round trip, compares it with what the host has, lets validators see it at its real paths, and renames it into place
    file by file. When anything fails, every file is as it was before.
  - Files named C(*.j2) are templates (the suffix is dropped); other files are copied byte for byte; symbolic links
    stay links.
  - A manifest on the host remembers what the tree owns. A file that is no longer in the tree is removed; a path that
    another tree owns is an error. Folders are never removed.
  - C({field}) in a file name stands for a field of the C(each) item, for the item itself (C({item})), or for a
    variable.
  - The parts of a path are walked without following a symbolic link that another user may have placed.
options:
  src:
    description: The folder to apply, looked for where M(ansible.builtin.template) looks for its templates.
    type: str
    default: tree
  name:
    description: The name of the manifest. One task a name, else two tasks would remove each other's files.
    type: str
    default: the role's name
  root:
    description: The only folder that the tree may write to. A path outside it, or that leads out by a link, is refused.
    type: path
    default: /
  owner:
    description: Owner of what I(files) says nothing about, by name or number.
    type: str
    default: root
  group:
    description: Group of what I(files) says nothing about, by name or number.
    type: str
    default: root
  mode:
    description: Mode of files that I(files) says nothing about, as a quoted octal string.
    type: str
    default: "0644"
  dir_mode:
    description: Mode of folders that have to be made on the way to a file.
    type: str
    default: "0755"
  files:
    description:
      - Exceptions, keyed by target path or a pattern of target paths (C(*) matches C(/) too; later ones win). A key that
        ends in C(/) declares a folder. A key that matches nothing is an error.
      - C(owner), C(group), C(mode) as above; C(when), a boolean, leaves the file out; C(each), a list, makes one file
        an item, which the template sees as C(item); C(secret) hides the content in diffs and in what validators say. By
        default a file is secret when its mode does not let everybody read it.
    type: dict
    default: {}
  validate:
    description:
      - A shell command, or a list of commands or of dictionaries with C(command) and C(timeout) (in seconds). Each must
        exit with 0. They run, in check mode too, in a private mount namespace where the new files lie at their real
        paths, and only when something changes. They are no place for secrets, because the system log shows them.
      - In check mode a command that is not installed yet (exit status 127) is a warning.
    type: raw
    default: []
  manifests:
    description: The folder on the host that holds the manifests.
    type: path
    default: /var/lib/stagecraft/trees
attributes:
  check_mode: {description: Predicts exactly what would change and runs the validators., support: full}
  diff_mode: {description: Content and attributes of every path, support: full}
"""

EXAMPLES = r"""
- name: Write the configuration
  stagecraft.platform.config_tree:
    files:
      /etc/nginx/sites/{name}.conf: {each: "{{ nginx_sites }}"}
      /etc/nginx/tls/key.pem: {mode: "0600"}
      /var/cache/nginx/: {owner: www-data, mode: "0750"}
    validate: nginx -t
  register: __nginx_tree
  notify: Apply the nginx configuration
"""

RETURN = r"""
changed_paths:
  description: Target paths whose content or attributes changed or that were removed; folders end in a slash.
  returned: always
  type: list
  elements: str
  sample: [/etc/nginx/nginx.conf, /var/cache/nginx/]
"""

import base64
import json
import os
import zlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_apply import apply
from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_entries import (
    ABSENT,
    Change,
    read,
    wanted,
)
from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_manifest import Manifests
from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_paths import TreeError, Walker
from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_validate import validate

# What the action plugin sends: the tree comes rendered and packed; the options above are the action's.
ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "root": {"type": "path", "default": "/"},
    "dir_mode": {"type": "int", "default": 0o755},
    "validate": {"type": "list", "elements": "dict", "default": []},
    "manifests": {"type": "path", "default": "/var/lib/stagecraft/trees"},
    "payload": {"type": "str", "required": True, "no_log": True},
}


def plan(items: list[dict], walker: Walker, manifests: Manifests, check_mode: bool) -> tuple[list[Change], set[str]]:
    """What has to change, and the real paths that the tree owns afterwards. Raises TreeError for what it may not do."""
    changes, owned, seen = [], set(), {}
    for item in items:
        spot = walker.locate(item["path"])
        if spot.real in seen:
            raise TreeError(f"{item['path']} and {seen[spot.real]} are the same file on this host")
        seen[spot.real] = item["path"]
        before, after = read(spot), wanted(item, check_mode)
        if "dir" in (before.kind, after.kind) and before.kind not in (after.kind, "absent"):
            raise TreeError(f"{item['path']} is a {before.kind} here and should be a {after.kind}; move it away first")
        if after.kind != "dir":
            manifests.check(spot.real, item["path"])
            owned.add(spot.real)
        if before != after:
            changes.append(Change(spot, before, after, item.get("secret"), frozenset(item.get("masks", ()))))
    for path in sorted(manifests.own):
        spot = walker.locate(path)
        before = ABSENT if spot.real in seen else read(spot)
        if before.kind == "dir":
            raise TreeError(f"{path} was a file of this tree and is a directory now; move it away first")
        if before.kind != "absent":
            changes.append(Change(spot, before, ABSENT))
    return changes, owned


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    os.umask(0o077)
    items = json.loads(zlib.decompress(base64.b64decode(params["payload"])))
    for validator in params["validate"]:
        validator.setdefault("timeout", 60)

    def label(path: str, target: str) -> None:
        module.set_context_if_different(path, module.selinux_default_context(target), False)

    try:
        walker = Walker(params["root"], params["dir_mode"])
        manifests = Manifests(params["manifests"], params["name"], create=not module.check_mode)
        changes, owned = plan(items, walker, manifests, module.check_mode)
        for warning in validate(params["validate"], changes, params["dir_mode"], module.check_mode):
            module.warn(warning)
        if not module.check_mode:
            before = manifests.own
            manifests.save(before | owned)  # first: a run that dies half-way must not forget what it placed
            try:
                apply(changes, walker, label if module.selinux_enabled() else None)
            except TreeError:
                manifests.save(before)
                raise
            manifests.save(owned)
    except TreeError as error:
        module.fail_json(msg=str(error))
    result = {"changed": bool(changes), "changed_paths": [change.shown for change in changes]}
    if module._diff:
        result["diff"] = [change.diff() for change in changes]
    module.exit_json(**result)


if __name__ == "__main__":
    main()

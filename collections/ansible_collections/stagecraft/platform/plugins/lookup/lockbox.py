"""Entries of Lockbox secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lockbox
short_description: Read a secret of Yandex Cloud's Lockbox
description:
  - Gives the text of one entry, or all entries as a dictionary, of the current version of a secret.
  - A secret is asked of the cloud once a run, however many hosts and tasks use it. It is kept in the memory of a
    process that ends with the run, and is never written to a disk.
  - What is done with it is yours to hide; set C(no_log) on tasks that would show it.
author: Stagecraft
extends_documentation_fragment: [stagecraft.platform.connection]
options:
  _terms:
    description: Names or IDs of secrets.
    type: list
    elements: str
    required: true
  key:
    description: The entry to give; without it, a dictionary of all entries.
    type: str
  fresh:
    description:
      - Ask the cloud, whatever this run was told before, and do not keep the answer for it.
      - For what is read before the run makes or changes the secret.
    type: bool
    default: false
  on_missing:
    description: What to do where there is no such secret or entry.
    type: str
    choices: [error, none]
    default: error
"""

EXAMPLES = r"""
- name: A password
  ansible.builtin.set_fact:
    password: "{{ lookup('stagecraft.platform.lockbox', 'database', key='password') }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: For each secret its entry, or all of them; nothing where it is missing and that is allowed.
  type: list
  elements: raw
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import CloudError
from ansible_collections.stagecraft.platform.plugins.plugin_utils.connection import connection
from ansible_collections.stagecraft.platform.plugins.plugin_utils.progress import hearing
from ansible_collections.stagecraft.platform.plugins.plugin_utils.run_agent import ask_agent


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        return [self._entry(str(term), self.get_option("key")) for term in terms]

    def _entry(self, secret, key):
        on_missing = self.get_option("on_missing")
        request = {"connection": connection(self.get_options()), "secret": secret, "on_missing": on_missing}
        request["fresh"] = self.get_option("fresh")
        try:
            entries = ask_agent("secret", request, hearing())
        except CloudError as error:
            raise AnsibleLookupError(f"secret {secret}: {error}") from None
        if entries is None or key is None:
            return entries
        if key not in entries and on_missing == "error":
            there = ", ".join(sorted(entries)) or "none"
            raise AnsibleLookupError(f"secret {secret} has no entry {key}; it has: {there}")
        return entries.get(key)

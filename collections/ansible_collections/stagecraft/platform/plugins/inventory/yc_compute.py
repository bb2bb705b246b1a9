"""The instances of a folder as Ansible hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: yc_compute
short_description: Yandex Cloud instances as inventory
description:
  - Every instance of a folder becomes a host under its name; its facts are variables that start with C(yc_).
  - The file has to be named C(*yc_compute.yml) or C(*yc_compute.yaml).
  - A folder without instances is an empty inventory. An API that does not answer or refuses is an error.
author: Stagecraft
extends_documentation_fragment:
  - stagecraft.platform.connection
  - constructed
  - inventory_cache
options:
  plugin:
    description: Has to be C(stagecraft.platform.yc_compute).
    type: str
    required: true
    choices: [stagecraft.platform.yc_compute]
  retry_time:
    description: How many seconds to try again when the API does not answer or asks for patience.
    type: int
    default: 20
  required:
    description:
      - Stop the whole run with one message when the cloud cannot be asked.
      - Otherwise that is an inventory source that could not be parsed, after which Ansible goes on without its hosts,
        unless C(any_unparsed_is_failed) is set in its configuration.
    type: bool
    default: false
    env:
      - name: YC_INVENTORY_REQUIRED
  filters:
    description: Only instances that match all of these become hosts.
    type: dict
    default: {}
    suboptions:
      labels:
        description: Labels with their values.
        type: dict
      status:
        description: States in lower case, such as C(running).
        type: list
        elements: str
      name:
        description: A regular expression that the whole name has to match.
        type: str
  fields:
    description:
      - More of the API's fields of an instance, each to become the variable C(yc_)I(field), such as C(fqdn) or C(resources).
      - Always there are C(yc_id), C(yc_zone), C(yc_labels), C(yc_status), C(yc_private_ip) and C(yc_public_ip), of the first
        network interface; an address that it does not have is empty. Ansible itself has the name, C(inventory_hostname).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
plugin: stagecraft.platform.yc_compute
filters:
  labels: {stagecraft-stage: partners}
  status: [running]
keyed_groups:
  - key: yc_labels['stagecraft-role']
    prefix: ''
    separator: ''
compose:
  ansible_host: yc_private_ip
"""

import hashlib
import json

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import CloudError, ask
from ansible_collections.stagecraft.platform.plugins.plugin_utils.connection import connection, where
from ansible_collections.stagecraft.platform.plugins.plugin_utils.construction import Construction

PARSER_ERROR = 4  # the exit code of ansible-playbook for an inventory that cannot be read


class InventoryModule(BaseInventoryPlugin, Construction, Cacheable):
    NAME = "stagecraft.platform.yc_compute"

    def verify_file(self, path):
        return super().verify_file(path) and path.endswith(("yc_compute.yml", "yc_compute.yaml"))

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        instances = self._instances(path, cache)
        self.add_hosts([(name, {f"yc_{key}": value for key, value in facts.items()}) for name, facts in instances])

    def _instances(self, path, cache):
        """From the cache where it is wanted and has them, else from the cloud."""
        request = {
            "connection": connection(self.get_options()),
            "filters": self.get_option("filters"),
            "fields": self.get_option("fields"),
        }
        if not self.get_option("cache"):
            return self._ask(request)
        key = self._key(path, request)
        if cache:
            try:
                return self._cache[key]
            except KeyError:
                pass  # nothing kept yet, or it is too old
        self._cache[key] = self._ask(request)
        return self._cache[key]

    def _key(self, path, request):
        """Another folder, endpoint or filter is another entry: a cache must never hand out another stage's machines."""
        place = where(request["connection"])
        text = json.dumps([place, request["filters"], request["fields"]], sort_keys=True, default=str)
        return f"{self.get_cache_key(path)}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def _ask(self, request):
        try:
            return ask("instances", request)
        except CloudError as error:
            if self.get_option("required"):
                self.display.error(f"yc_compute: {error}")
                raise SystemExit(PARSER_ERROR) from None  # Ansible would only warn of any other exception
            raise AnsibleParserError(f"yc_compute: {error}") from None

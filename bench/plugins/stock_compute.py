"""The reference of [inventory-10k]: the same instances, by Ansible's own Constructable alone."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stock_compute
short_description: Instances as inventory, by Constructable alone
description: [A plugin as the documentation of Ansible shows how to write one.]
author: Stagecraft
extends_documentation_fragment:
  - stagecraft.platform.connection
  - constructed
options:
  plugin:
    description: Has to be C(stock_compute).
    required: true
    choices: [stock_compute]
"""

from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import ask
from ansible_collections.stagecraft.platform.plugins.plugin_utils.connection import connection


class InventoryModule(BaseInventoryPlugin, Constructable):
    NAME = "stock_compute"

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        strict = self.get_option("strict")
        request = {"connection": connection(self.get_options()), "filters": {}, "fields": []}
        for name, facts in ask("instances", request):
            self.inventory.add_host(name)
            for key, value in facts.items():
                self.inventory.set_variable(name, f"yc_{key}", value)
            variables = self.inventory.get_host(name).get_vars()
            self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
            self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)

"""The fast way of constructing an inventory gives exactly what Ansible's own way gives."""

import pytest
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.template import trust_as_template
from ansible_collections.stagecraft.platform.plugins.plugin_utils.construction import Construction

HOSTS = [
    (f"host-{i}", variables)
    for i, variables in enumerate(
        [
            {
                "yc_zone": "ru-central1-a",
                "yc_labels": {"role": "edge", "n": "1"},
                "yc_public_ip": "198.51.100.70",
                "yc_list": [1, 2],
            },
            {
                "yc_zone": "ru-central1-b",
                "yc_labels": {"role": "back end"},
                "yc_public_ip": "",
                "yc_private_ip": "10.0.0.4",
            },
            {"yc_zone": "", "yc_labels": {}, "yc_list": [], "yc_ready": True},
            {"yc_zone": "ru-central1-a", "yc_labels": {"role": "", "items": "x"}, "yc_ready": False, "yc_count": 3},
        ]
    )
]

COMPOSE = {
    "ansible_host": "yc_public_ip | default(yc_private_ip, true) | default('none')",
    "role": "yc_labels.role",
    "role_or": "yc_labels['role'] | default('nobody')",
    "deep": "yc_labels.none.deeper | default('shallow')",
    "method": "yc_labels.items() | list",
    "named_item": "yc_labels['items'] is defined",
    "first": "yc_list[0]",
    "upper": "yc_zone | upper",
    "sum": "yc_count + 1",
    "both": "yc_zone == 'ru-central1-a' and yc_ready",
    "either": "yc_public_ip or yc_zone",
    "negated": "not yc_ready",
    "chain": "1 < yc_count < 5",
    "inside": "'role' in yc_labels",
    "text": "'constant'",
    "none": "none",
    "name": "inventory_hostname",
    "wrong": "yc_zone ~~ 1",
    "number": "yc_count > 2",
    "mixed": "yc_zone > 2",
    "earlier": "role",
    "undefined_test": "yc_missing is undefined",
    "global": "range(3) | list",
}
GROUPS = {
    "in_a": "yc_zone == 'ru-central1-a'",
    "ready": "yc_ready",
    "not a name!": "yc_ready is defined",
    "truthy text": "yc_zone",
    "composed": "role == 'edge'",
    "listed": "yc_list | length > 0",
    "always": True,
}
KEYED = [
    {"key": "yc_labels.role", "prefix": "", "separator": ""},
    {"key": "yc_zone", "prefix": "zone"},
    {"key": "yc_zone", "prefix": "zone", "parent_group": "zones"},
    {"key": "yc_labels", "prefix": "label"},
    {"key": "yc_list", "prefix": "list"},
    {"key": "yc_labels.role", "prefix": "d", "default_value": "unknown"},
    {"key": "yc_zone"},
    {"key": "yc_zone[:4]", "prefix": "region"},
]


class Plugin(BaseInventoryPlugin, Construction):
    def __init__(self, options):
        super().__init__()
        self._given = options
        self.loader, self.inventory, self._vars = DataLoader(), InventoryData(), {}

    def get_option(self, option, hostvars=None):
        return self._given.get(option)


class WithoutTemplar(Plugin):
    @property
    def templar(self):
        raise AssertionError("a plain expression went to the templar")


def trusted(value):
    if isinstance(value, dict):
        return {k: trusted(v) for k, v in value.items()}
    if isinstance(value, list):
        return [trusted(v) for v in value]
    return trust_as_template(value) if isinstance(value, str) else value


def built(fast, kind=Plugin, **options):
    plugin = kind({"strict": False, "leading_separator": True, **trusted(options)})
    plugin.add_hosts([(name, dict(variables)) for name, variables in HOSTS], fast=fast)
    plugin.inventory.reconcile_inventory()
    hosts = {name: dict(host.vars) for name, host in plugin.inventory.hosts.items()}
    groups = {name: sorted(h.name for h in group.hosts) for name, group in plugin.inventory.groups.items()}
    parents = {name: sorted(g.name for g in group.child_groups) for name, group in plugin.inventory.groups.items()}
    return hosts, groups, parents


@pytest.mark.parametrize("leading", [True, False])
def test_fast_and_stock_agree_on_everything_at_once(leading):
    options = {"compose": COMPOSE, "groups": GROUPS, "keyed_groups": KEYED, "leading_separator": leading}
    assert built(True, **options) == built(False, **options)


@pytest.mark.parametrize("name", COMPOSE)
def test_fast_and_stock_agree_on_each_expression(name):
    options = {"compose": {name: COMPOSE[name]}, "groups": {"chosen": COMPOSE[name]}}
    assert built(True, **options) == built(False, **options)


def test_what_is_plain_is_not_left_to_the_templar():
    compose = {name: COMPOSE[name] for name in ("ansible_host", "role", "role_or", "deep", "undefined_test")}
    groups = {name: GROUPS[name] for name in ("in_a", "ready", "composed")}
    hosts, found, _ = built(True, WithoutTemplar, compose=compose, groups=groups, keyed_groups=KEYED[:2])
    assert [h.get("ansible_host") for h in hosts.values()] == ["198.51.100.70", "10.0.0.4", "none", "none"]
    assert found["in_a"] == ["host-0", "host-3"] and found["edge"] == ["host-0"]


def test_groups_so_far_can_be_asked_for():
    options = {"groups": {"in_a": GROUPS["in_a"]}, "keyed_groups": [{"key": "group_names", "prefix": "again"}]}
    assert built(True, **options) == built(False, **options)
    assert "again_in_a" in built(True, **options)[1]


@pytest.mark.parametrize(
    "options",
    [
        {"compose": {"x": "yc_missing"}},
        {"compose": {"x": "yc_labels.role"}},
        {"groups": {"x": "yc_missing"}},
        {"groups": {"x": "yc_zone"}},
        {"keyed_groups": [{"key": "yc_missing"}]},
        {"keyed_groups": [{"key": "yc_zone"}]},
    ],
)
def test_strict_complains_in_the_same_words(options):
    said = []
    for fast in (True, False):
        with pytest.raises(AnsibleError) as caught:
            built(fast, strict=True, **options)
        said.append(str(caught.value))
    assert said[0] == said[1]

"""Machines that do not exist yet, in the groups that the inventory would give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.block import Block
from ansible.playbook.play import Play
from ansible.playbook.role_include import IncludeRole
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.plugins.loader import inventory_loader
from ansible.template import Templar

PLUGIN = "stagecraft.platform.yc_compute"


@dataclass(frozen=True)
class Given:
    """A role that a play names, or a task that includes one; name and conditions as they are written."""

    name: str
    when: list[Any]
    loop: Any = None


def named(play: Play) -> list[Given]:
    """The roles of a play, in the order in which they come."""
    listed = [Given(role.get_name(), role.when) for role in play.get_roles()]
    return [*included(play.pre_tasks), *listed, *included(play.tasks), *included(play.post_tasks)]


def included(found: Iterable[Any]) -> list[Given]:
    return [Given(task._role_name, task.when, task.loop) for task in tasks(found)]


def tasks(found: Iterable[Any]) -> Iterator[IncludeRole]:
    """Those of blocks, however deep, that include a role."""
    for one in found:
        if isinstance(one, Block):
            yield from tasks([*one.block, *one.rescue, *one.always])
        elif isinstance(one, IncludeRole):
            yield one


def roles(machines: dict[str, dict[str, str]], plays: Iterable[tuple[list[str], list[Given]]]) -> dict[str, list[str]]:
    """The roles, in order, that plays (each its hosts, and what it names) give to machines, which are labels by name."""
    inventory = grouped(machines)
    given: dict[str, list[str]] = {name: [] for name in machines}
    for hosts, names in plays:
        for host in inventory.list_hosts(":".join(hosts)) if names else ():
            groups = sorted(group.name for group in host.get_groups() if group.name != "all")
            known = {"inventory_hostname": host.name, "group_names": groups}
            given[host.name] += [role for one in names for role in meant(one, known) if role not in given[host.name]]
    return given


def meant(given: Given, known: dict[str, Any]) -> Iterator[str]:
    """The names of the roles that a host gets: as written, and conditions taken to hold, where only a run can tell."""
    for item in given.loop if isinstance(given.loop, list) else [None]:
        templar = Templar(DataLoader(), {**known, "item": item})
        if all(holds(templar, condition) for condition in given.when):
            yield filled(templar, given.name)


def filled(templar: Templar, name: str) -> str:
    try:
        return str(templar.template(name))
    except AnsibleError:
        return name


def holds(templar: Templar, condition: Any) -> bool:
    try:
        return templar.evaluate_conditional(condition)
    except AnsibleError:
        return True


def grouped(machines: dict[str, dict[str, str]]) -> InventoryManager:
    """An inventory of these machines alone, as the files of this run's inventory group them by their labels."""
    loader, data = DataLoader(), InventoryData()
    for path in files():
        plugin = inventory_loader.get(PLUGIN)
        if plugin.verify_file(path):
            BaseInventoryPlugin.parse(plugin, data, loader, path)
            plugin._read_config_data(path)
            plugin.add_hosts([(name, {"yc_labels": labels}) for name, labels in machines.items()])
    data.reconcile_inventory()  # puts everything into `all`
    manager = InventoryManager(loader, parse=False)
    for group in data.groups.values():
        manager.add_group(group.name)
        for host in group.get_hosts():
            manager.add_host(host.name, group.name)
    return manager


def files() -> Iterator[str]:
    """The files of this run's inventory."""
    for source in context.CLIARGS.get("inventory") or constants.DEFAULT_HOST_LIST:
        path = Path(source)
        yield from sorted(map(str, path.iterdir())) if path.is_dir() else [str(path)]

"""Constructed groups and variables for many hosts: what Ansible's Constructable does, at a tenth of its time."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import Any

from ansible.plugins.inventory import Constructable

from .expressions import Function, Undefined, compiled

MANY = 1000  # hosts from which collections of what stays cost more than what may be left uncollected
MAGIC = {"inventory_hostname", "inventory_hostname_short"}
SIMPLE_KEYS = {"key", "prefix", "separator"}
Host = tuple[str, dict[str, Any]]  # name, variables


class Construction(Constructable):
    """Mixed into an inventory plugin that has the options of the `constructed` fragment."""

    def add_hosts(self, hosts: list[Host], fast: bool = True) -> None:
        """Add hosts with their variables, and what `compose`, `groups` and `keyed_groups` make of them."""
        compose = self.get_option("compose") or {}
        groups = self.get_option("groups") or {}
        keyed = self.get_option("keyed_groups") or []
        self._strict = self.get_option("strict")
        self._skipped: type[Exception] | tuple[()] = () if self._strict else Undefined
        # extra variables and the groups so far can change what an expression means from host to host
        expressions = [*compose.values(), *groups.values(), *(k.get("key") for k in keyed)]
        plain = not self.get_option("use_extra_vars") and not any("group_names" in str(e) for e in expressions)
        if fast and plain:
            gc.disable()
            try:
                self._add_fast(hosts, compose, groups, keyed)
            finally:
                gc.enable()
            if len(hosts) > MANY:
                gc.freeze()  # they stay until the end: no later collection has to go over all of them again
        else:
            self._add_stock(hosts, compose, groups, keyed)

    def _add_stock(self, hosts: Iterable[Host], compose: dict, groups: dict, keyed: list) -> None:
        for name, variables in hosts:
            self.inventory.add_host(name)
            for key, value in variables.items():
                self.inventory.set_variable(name, key, value)
            self._set_composite_vars(compose, self.inventory.get_host(name).get_vars(), name, self._strict)
            self._add_host_to_composed_groups(groups, {}, name, self._strict)
            self._add_host_to_keyed_groups(keyed, {}, name, self._strict)

    def _add_fast(self, hosts: list[Host], compose: dict, groups: dict, keyed: list) -> None:
        """Plain expressions are Python functions, members are added in bulk; whatever is odd goes the stock way."""
        known = MAGIC | {key for _, variables in hosts for key in variables} | set(compose)
        composed = [(key, text, compiled(text, known)) for key, text in compose.items()]
        grouped = [(self._sanitize_group_name(g), text, compiled(text, known)) for g, text in groups.items()]
        keyed_by = [(k, self._keyed_function(k, known), self._group_namer(k)) for k in keyed]
        members: dict[str, list[Any]] = {}
        for name, variables in hosts:
            self.inventory.add_host(name)
            host = self.inventory.hosts[name]
            host.vars.update(variables)
            now = {**host.vars, "inventory_hostname": name, "inventory_hostname_short": name.split(".")[0]}
            self._compose_fast(name, host.vars, now, composed)
            for group, text, function in grouped:
                if self._belongs(name, now, group, text, function):
                    members.setdefault(group, []).append(host)
            for entry, function, group_name in keyed_by:
                group = self._keyed_group(name, now, entry, function, group_name)
                if group:
                    members.setdefault(group, []).append(host)
        for group, its_hosts in members.items():
            target = self.inventory.groups[self.inventory.add_group(group)]
            for host in its_hosts:
                target.add_host(host)

    def _compose_fast(self, name: str, own: dict[str, Any], now: dict[str, Any], composed: list) -> None:
        before = dict(now)  # an entry of compose does not see the ones before it
        for key, text, function in composed:
            try:
                if function is None:
                    raise TypeError("only the templar can evaluate it")
                own[key] = now[key] = function(before)
            except self._skipped:
                continue
            except Exception:  # whatever it was, the stock way decides: it skips, or explains
                self._set_composite_vars({key: text}, before, name, self._strict)
                if key in own:
                    now[key] = own[key]

    def _belongs(self, name: str, now: dict[str, Any], group: str, text: Any, function: Function | None) -> bool:
        try:
            result = function(now) if function else None
        except self._skipped:
            return False
        except Exception:
            result = None
        if isinstance(result, bool):
            return result
        # not plain, or not a boolean, about which Ansible has rules of its own
        self._add_host_to_composed_groups({group: text}, now, name, self._strict, fetch_hostvars=False)
        return False

    def _keyed_function(self, entry: Any, known: set[str]) -> Function | None:
        if not isinstance(entry, dict) or set(entry) - SIMPLE_KEYS:
            return None
        return compiled(entry.get("key"), known)

    def _group_namer(self, entry: Any) -> Callable[[str], str]:
        """Group names of one keyed entry by value, each sanitized once."""
        names: dict[str, str] = {}

        def name_of(value: str) -> str:
            if value not in names:
                prefix, separator = entry.get("prefix", ""), entry.get("separator", "_")
                if prefix == "" and self.get_option("leading_separator") is False:
                    separator = ""
                names[value] = self._sanitize_group_name(f"{prefix}{separator}{value}")
            return names[value]

        return name_of

    def _keyed_group(
        self, name: str, now: dict[str, Any], entry: Any, function: Function | None, group_name: Callable[[str], str]
    ) -> str | None:
        try:
            value = function(now) if function else None
        except self._skipped:
            return None
        except Exception:
            value = None
        if isinstance(value, str) and value:
            return group_name(value)
        if function is None or self._strict or value:
            self._add_host_to_keyed_groups([entry], now, name, self._strict, fetch_hostvars=False)
        return None

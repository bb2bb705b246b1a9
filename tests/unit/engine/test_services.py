"""Which services a folder is asked about: all whose things people make and delete there, and no others."""

from __future__ import annotations

import importlib

from ansible_collections.stagecraft.platform.plugins.module_utils.descriptors import home, methods
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL
from ansible_collections.stagecraft.platform.plugins.module_utils.services import SERVICES


def test_what_costs_money_is_among_them():
    there = set(SERVICES)
    assert {"k8s_cluster", "k8s_node_group", "clickhouse_cluster", "redis_cluster", "compute_filesystem"} <= there
    assert {"loadbalancer_network_load_balancer", "serverless_functions_function", "ydb_database"} <= there


def test_what_nobody_owns_is_not():
    named = {service.rpartition(".")[2] for service in SERVICES.values()}
    nobodys = {"BackupService", "MaintenanceService", "ZoneService", "OperationService", "RepositoryService"}
    assert not named & nobodys


def test_every_declared_kind_in_a_folder_is_listed():
    """Else neither a teardown nor the list of what is undeclared would see it."""
    own = [r for r in ALL if r.parent is not None and r.parent.name == "folder" and not r.service]
    missing = {r.kind for r in own if "List" in methods(f"{r.api}Service")} - set(SERVICES)
    assert missing == set()


def test_the_sdk_has_them_where_they_are_looked_for():
    for service in SERVICES.values():
        stub = service.rpartition(".")[2] + "Stub"
        assert hasattr(importlib.import_module(home(service) + "_grpc"), stub), service

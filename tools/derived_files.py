"""Files that follow from the code or the API's descriptors beside the modules; tools/generate_modules.py writes them."""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
import re
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.stagecraft.platform.plugins.module_utils import connection
from ansible_collections.stagecraft.platform.plugins.module_utils.descriptors import usual_home
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL
from yandex.cloud import validation_pb2

PREFIX = "yandex.cloud."
FRAGMENT = '''"""Where the cloud is and who we are there: the same options everywhere, said once."""
{header} from module_utils/connection.py; do not edit.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
{options}"""
'''
SERVICES = '''"""What a folder can hold: every service that lists things which people make and delete there."""
{header} from the API's descriptors; do not edit.
# ruff: noqa: E501 (names are as long as the API has them)

from __future__ import annotations

# kind, as yc_stack calls it where it is declared -> the service that lists it
SERVICES = {{
{rows}}}
# service -> the SDK's module of it, where its name does not say that
HOMES = {{
{homes}}}
# service -> the number of the folder in its request, where that is not 1
FOLDER_AT = {{
{numbers}}}
'''


def files(plugins: Path, header: str) -> dict[Path, str]:
    """The files that there should be, and what should be in them."""
    listed, homes = services(), listing_services()
    numbers = {service: folder_number(homes[service], service) for service in listed.values()}
    others = {service: number for service, number in numbers.items() if number != 1}
    odd = {service: homes[service] for service in listed.values() if homes[service] != usual_home(service)}
    return {
        plugins / "doc_fragments/connection.py": FRAGMENT.format(header=header, options=fragment()),
        plugins / "module_utils/services.py": SERVICES.format(
            header=header, rows=rows(listed), homes=rows(odd), numbers=rows(others)
        ),
    }


def folder_number(home: str, service: str) -> int:
    """The number of the field that names the folder in the request of a service's List."""
    found = importlib.import_module(home).DESCRIPTOR.services_by_name[service.rpartition(".")[2]]
    return found.methods_by_name["List"].input_type.fields_by_name["folder_id"].number


def rows(values: dict[str, Any]) -> str:
    return "".join(f'    "{key}": {json.dumps(value)},\n' for key, value in sorted(values.items()))


def fragment() -> str:
    return yaml.safe_dump(connection.documentation(), sort_keys=False, width=200)


def services() -> dict[str, str]:
    """Service by kind. Left out, as nobody can own them by themselves:

    - what nobody makes or nobody deletes (no Create or no Delete): catalogues, quotas, operations, maintenance, and what
      comes from something else and goes with it, such as the backups of a cluster or the images of a registry;
    - what is listed in something else than a folder (another field is required): it goes with what it is in;
    - older versions of an API that has a newer one: they list the same things.
    """
    declared = {
        r.service or f"{r.api}Service": r.kind for r in ALL if r.parent is not None and r.parent.name == "folder"
    }
    newest: dict[str, str] = {}
    for service in sorted(listing_services(), key=version):
        newest[kind_of(service)] = service
    return {declared.get(service, kind): service for kind, service in newest.items()}


@functools.cache
def listing_services() -> dict[str, str]:
    """The services whose things are made, listed and deleted in a folder, with the SDK's modules that they are in."""
    import yandex.cloud

    homes = {}
    for found in pkgutil.walk_packages(yandex.cloud.__path__, PREFIX):
        if not found.name.endswith("_service_pb2"):
            continue
        for service in importlib.import_module(found.name).DESCRIPTOR.services_by_name.values():
            name, methods = service.full_name.removeprefix(PREFIX), service.methods_by_name
            if {"Create", "Delete", "List"} <= set(methods) and of_folder(methods["List"]):
                homes[name] = found.name
    return homes


def of_folder(method: Any) -> bool:
    """Whether a folder is all that a List has to know."""
    fields = method.input_type.fields_by_name
    required = {n for n, f in fields.items() if f.GetOptions().Extensions[validation_pb2.required]}
    return "folder_id" in fields and required <= {"folder_id"}


def version(service: str) -> tuple[bool, str]:
    """Sorts versions: stable after alpha and beta, newer after older."""
    found = re.search(r"\.(v\d+)(\w*)", service)
    return (not found[2], found[1]) if found else (False, "")


def kind_of(service: str) -> str:
    """compute.v1.DiskService is compute_disk, mdb.mysql.v1.ClusterService mysql_cluster."""
    package, name = service.removesuffix("Service").rpartition(".")[::2]
    parts = [p for p in package.split(".") if not re.match(r"v\d", p) and p not in ("mdb", "api")]
    noun = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    return "_".join([*(p for p in parts if not noun.startswith(p)), noun])

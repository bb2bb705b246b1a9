"""What a stage's `machines` mean: their names, their instances, their records."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.stagecraft.platform.plugins.module_utils.values import nearest

DOCUMENTATION = r"""
name: stage
short_description: Expand a stage's machines
description:
  - C(machine_names), C(instances), C(machine_records) and C(certificate) turn the declaration of a stage's machines by role
    into what M(stagecraft.platform.yc_stack) applies.
  - C(machine_facts) and C(trusted) say what others need to know of a machine and of a key that may be in rotation;
    C(rotated) marks the declarations to which a secret that is made anew matters.
author: Stagecraft
"""

KNOWN = {
    "count", "zones", "subnet", "address", "platform", "cores", "core_fraction", "memory", "gpus", "disk_size",
    "disk_type", "service_account", "preemptible", "security_groups", "labels",
}  # fmt: skip
PASSED = ("platform", "cores", "core_fraction", "memory", "disk_size", "disk_type", "service_account", "preemptible")


def each(machines):
    """Every machine of every role: (name, role, declaration, zone).

    Raises AnsibleFilterError where a declaration has a field that nothing would read, or no zone to be in.
    """
    if not isinstance(machines, dict):
        raise AnsibleFilterError(f"machines: a dictionary by role is needed, and this is {machines!r}")
    for role, machine in machines.items():
        if not isinstance(machine, dict):
            raise AnsibleFilterError(f"machines.{role}: a dictionary is needed, and this is {machine!r}")
        if unknown := sorted(set(machine) - KNOWN):
            raise AnsibleFilterError(
                f"machines.{role}: nothing reads {unknown[0]}{nearest(unknown[0], KNOWN)}; known: {', '.join(sorted(KNOWN))}"
            )
        if not machine.get("zones"):
            raise AnsibleFilterError(f"machines.{role}: zones is empty, so there is nowhere to put it")
        if not isinstance(machine["zones"], list):
            raise AnsibleFilterError(f"machines.{role}: zones is a list, and this is {machine['zones']!r}")
        count = str(machine.get("count", 1))
        if not count.isdigit():
            raise AnsibleFilterError(f"machines.{role}: count is {count!r}; give the number of machines, 0 for none")
        for i in range(int(count)):
            yield f"{role}-{i + 1}", role, machine, machine["zones"][i % len(machine["zones"])]


def machine_names(machines):
    """The names of all machines, in the order of their declaration."""
    return [name for name, *_ in each(machines)]


def instances(machines, image, user_data, security_groups=("base",)):
    """Declarations of compute instances by name. `user_data` is cloud-init's, the same for every machine."""
    return {name: instance(name, role, machine, zone, image, user_data, list(security_groups))
            for name, role, machine, zone in each(machines)}  # fmt: skip


def instance(name, role, machine, zone, image, user_data, groups):
    """The declaration of one instance."""
    interface = {
        "subnet": f"{machine['subnet']}-{zone[-1]}",
        "security_groups": [*groups, *machine.get("security_groups", [role])],
    }
    if machine.get("address"):
        interface["public_address"] = machine["address"]
    declared = {
        "zone": zone,
        "image": image,
        "hostname": name,
        "labels": {**machine.get("labels", {}), "stagecraft-role": role},
        "metadata": {"user-data": user_data},
        "network_interfaces": [interface],
        **{field: machine[field] for field in PASSED if machine.get(field) is not None},
    }
    if int(machine.get("gpus") or 0):
        declared["gpus"] = int(machine["gpus"])
    return declared


def machine_records(machines, zone, domain):
    """Declarations of address records in a DNS zone, one a machine: `backend-1.partners.internal.`."""
    return [{"dns_zone": zone, "name": f"{name}.{domain}.", "type": "A", "ttl": "1m", "instances": [name]}
            for name in machine_names(machines)]  # fmt: skip


def certificate(name, ca, domain, names=None):
    """The declaration of a machine's certificate: its private name, `localhost`, and the names of its role."""
    role = name.rpartition("-")[0]
    return {"kind": "certificate", "ca": ca, "names": [f"{name}.{domain}", "localhost", *(names or {}).get(role, [])]}


def machine_facts(variables):
    """What the checks need to know of a machine, from its inventory variables."""
    groups = variables["yc_labels"]
    return {
        "role": groups["stagecraft-role"],
        "private": variables["yc_private_ip"],
        "public": variables.get("yc_public_ip") or "",
    }


def rotated(declared, secrets):
    """Declarations, those among them that are or use one of these secrets with C(update_secrets).

    By name, they are secrets; in a list, each may have options that end in C(_secret) and name one."""
    if isinstance(declared, dict):
        return {n: {**(one or {}), "update_secrets": True} if n in secrets else one for n, one in declared.items()}
    return [{**one, "update_secrets": True} if uses(one) & set(secrets) else one for one in declared]


def uses(declaration):
    """The names of the secrets whose values a declaration takes."""
    return {place["secret"] for option, place in declaration.items() if option.endswith("_secret")}


def trusted(entries, name):
    """What others have to trust of a stored pair; see M(stagecraft.platform.lockbox_keys)."""
    from ansible_collections.stagecraft.platform.plugins.module_utils import rotation  # late, as it brings cryptography

    return rotation.trusted(entries, name)


FILTERS = (machine_names, instances, machine_records, certificate, machine_facts, rotated, trusted)


class FilterModule:
    """The filters, by name."""

    def filters(self):
        return {f.__name__: f for f in FILTERS}

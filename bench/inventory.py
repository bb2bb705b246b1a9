"""The inventory of a large folder against names in a file, and against a plugin by Constructable alone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.ansible_runs import ansible, cloud, environment
from bench.figures import RUNS, Bench, Figure, medians, timed
from rehearsal.cloud.descriptors import new

HOSTS = 10_000
STATIC = Figure(
    "inventory-10k", 2.0, "`ansible-inventory --list` of 10,000 instances, a static inventory of the same names"
)
STOCK = Figure("inventory-10k-stock", 0.15, "the same, a plugin by stock `Constructable`")
INSTANCE = "compute.v1.Instance"
CONSTRUCTED = {
    "keyed_groups": [{"key": "yc_labels['stagecraft-role']", "prefix": "", "separator": ""}],
    "groups": {"machines": "true", "zone_a": "yc_zone == 'ru-central1-a'"},
    "compose": {"ansible_host": "yc_private_ip"},
}
ROLES = ("edge", "backend", "serving", "monitoring")


def fill(emulator: Any) -> list[str]:
    """Put the instances into the emulated cloud's store; their names."""
    folder, names = emulator.env["YC_FOLDER_ID"], []
    with emulator.cloud.store.transaction():
        for n in range(HOSTS):
            one = new(INSTANCE)
            one.id, one.folder_id, one.name = f"fhm{n:017d}", folder, f"machine-{n}"
            one.zone_id, one.platform_id, one.fqdn = (
                f"ru-central1-{'abd'[n % 3]}",
                "standard-v3",
                f"machine-{n}.internal",
            )
            one.labels.update({"stagecraft-role": ROLES[n % len(ROLES)], "stagecraft-stage": "bench"})
            one.status = one.RUNNING
            interface = one.network_interfaces.add(index="0", subnet_id="e9b")
            interface.primary_v4_address.address = f"10.{n // 62500}.{n // 250 % 250}.{n % 250 + 1}"
            emulator.cloud.store.put(INSTANCE, one.id, folder, "", one.name, one.SerializeToString())
            names.append(one.name)
    return names


def listed(say: Callable[[str], None]) -> dict[str, float]:
    """Three inventories of the same names."""
    with cloud(delay=0) as emulator, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        names = fill(emulator)
        files = {name: Path(folder) / name for name in ("yc_compute.yml", "stock_compute.yml", "static.yml")}
        files["yc_compute.yml"].write_text(json.dumps({"plugin": "stagecraft.platform.yc_compute", **CONSTRUCTED}))
        files["stock_compute.yml"].write_text(json.dumps({"plugin": "stock_compute", **CONSTRUCTED}))
        files["static.yml"].write_text(json.dumps({"all": {"hosts": dict.fromkeys(names)}}))
        plugins = "stagecraft.platform.yc_compute,stock_compute,ansible.builtin.yaml"
        env = environment(
            emulator,
            ANSIBLE_INVENTORY_PLUGINS=str(Path(__file__).parent / "plugins"),
            ANSIBLE_INVENTORY_ENABLED=plugins,
        )

        def run(name: str) -> Callable[[], float]:
            return lambda: timed(lambda: ansible("ansible-inventory", "-i", str(files[name]), "--list", env=env))

        said = ansible("ansible-inventory", "-i", str(files["yc_compute.yml"]), "--list", env=env)
        if (seen := len(json.loads(said)["_meta"]["hostvars"])) != HOSTS:
            raise RuntimeError(f"the inventory shows {seen} hosts, not {HOSTS}")
        static, ours, stock = medians(RUNS, *map(run, ("static.yml", "yc_compute.yml", "stock_compute.yml")))
    say(f"static {static:.1f} s, yc_compute {ours:.1f} s, by Constructable {stock:.1f} s")
    return {STATIC.name: ours / static, STOCK.name: ours / stock}


BENCHES = (Bench((STATIC, STOCK), listed),)

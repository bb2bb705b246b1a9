"""Snapshots of machines' boot disks, which have no names of their own."""

from __future__ import annotations

from engine_runs import Engine, case


def test_a_schedule_follows_a_machine_that_is_replaced(engine: Engine):
    described = case("compute_snapshot_schedule")
    machine = next(n["compute_instance"] for n in described["needs"] if "compute_instance" in n)
    declared = [
        *described["needs"],
        {"compute_snapshot": {"name": "before", "instance": "api-1"}},
        {"compute_snapshot_schedule": {"name": "nightly", "expression": "0 2 * * *", "instances": ["api-1"]}},
    ]
    engine.build(declared)
    try:
        first = boot_disk(engine)
        assert snapshot(engine)["source_disk_id"] == first and disks(engine) == [first]
        small = {**machine, "disk_size": "9GB", "replace": True}
        renewed = [{"compute_instance": small} if "compute_instance" in d else d for d in declared]
        results = Engine.at(engine.cloud).stack(renewed)
        assert [r["item"] for r in results if r["changed"]] == [
            "compute_instance api-1",
            "compute_snapshot_schedule nightly",
        ]
        assert disks(engine) == [boot_disk(engine)] != [first]
        assert snapshot(engine)["source_disk_id"] == first, "it is of what was there when it was made"
    finally:
        engine.demolish(declared)


def boot_disk(engine: Engine) -> str:
    return engine.apply("compute_instance", {"name": "api-1"}, state="info")["instance"]["boot_disk"]["disk_id"]


def snapshot(engine: Engine) -> dict:
    return engine.apply("compute_snapshot", {"name": "before"}, state="info")["snapshot"]


def disks(engine: Engine) -> list[str]:
    found = engine.apply("compute_snapshot_schedule", {"name": "nightly"}, state="info")["snapshot_schedule"]
    service = "compute.v1.SnapshotScheduleService"
    return [d.id for d in engine.session.pages(service, "ListDisks", snapshot_schedule_id=found["id"])]

"""Going back to an earlier revision of a serverless container, in one task."""

from __future__ import annotations

from ansible_runs import calls, stack

IMAGE = "cr.yandex/crp9ftr22d26age3hulg/api:"
DECLARED = [{"serverless_container": {"name": "api", "image": IMAGE + n, "memory": "128MB"}} for n in "123"]


def back(**options: str) -> dict:
    return {"stagecraft.platform.yc_serverless_container_rollback": {"name": "api", **options}}


def info() -> dict:
    return {"stagecraft.platform.yc_serverless_container": {"name": "api", "state": "info"}}


def test_back_and_forward_again(play, cloud):
    newest = "{{ r5.container.revisions[0].id }}"
    results = play(
        *(stack([one]) for one in DECLARED),
        {**back(), "check_mode": True},
        back(),
        info(),
        back(revision=newest),
        back(revision=newest),
        back(),
        back(),
        back(),
        back(name="apo"),
        stack([DECLARED[2]]),
        stack([DECLARED[2]], state="absent"),
    ).results
    would, did, seen, named, repeated, second, first, further, nobody, forward, _ = results[3:]
    assert would["changed"] and would["diff"] == did["diff"] and would["revision"] == did["revision"]
    assert [did["diff"][side]["image_url"] for side in ("before", "after")] == [IMAGE + "3", IMAGE + "2"]
    assert seen["container"]["revision_id"] == did["revision"]["id"] == did["container"]["revision_id"]
    assert named["changed"] and named["revision"]["image_url"] == IMAGE + "3" and not repeated["changed"]
    assert [r["revision"]["image_url"] for r in (second, first)] == [IMAGE + "2", IMAGE + "1"]
    assert further["failed"] and further["msg"].startswith(
        "serverless_container api: there is no revision from before the one that serves: nothing was changed"
    )
    assert nobody["failed"] and nobody["msg"].startswith("there is no serverless_container apo: ")
    assert len(calls(cloud, "ContainerService.Rollback")) == 4
    assert forward["changed"], "unchanged declarations bring back what they say"
    assert len(calls(cloud, "ContainerService.DeployRevision")) == 4


def test_not_across_a_rotation(play, cloud):
    """The hashes of API keys are in a variable, and secrets have a version: both are a revision's for ever."""
    account = {"iam_service_account": {"name": "api"}}
    entries = [{"key": "secret", "text": "first"}]
    secret = {"lockbox_secret": {"name": "storage-key", "entries": entries}}
    read = {"variable": "SECRET", "secret": "storage-key", "key": "secret"}

    def deployed(keys: str, n: str = "1") -> dict:
        told = {"environment": {"KEYS": keys}, "secrets": [read], "service_account": "api"}
        return stack([{"serverless_container": {**DECLARED[0]["serverless_container"], **told, "image": IMAGE + n}}])

    anew = stack([{"lockbox_secret": {**secret["lockbox_secret"], "update_secrets": True}}])
    asked = len(calls(cloud, "ContainerService.Rollback"))
    results = play(
        stack([account, secret]),
        deployed("old"),
        deployed("new"),
        back(rotated=["KEYS"]),
        back(),
        deployed("new", "2"),
        anew,
        deployed("new", "2"),
        back(rotated=["KEYS"]),
        back(rotated=["KEYS"], revive=True),
        stack([*DECLARED[:1], account, secret], state="absent"),
    ).results
    other_keys, unsaid, *_, other_version, revived = results[3:10]
    for refused, what in ((other_keys, "KEYS"), (other_version, "version of the secret storage-key")):
        assert refused["failed"] and f"is from before a rotation: it has another {what}. " in refused["msg"]
        assert "nothing was changed" in refused["msg"] and "revive: true" in refused["msg"]
    assert unsaid["changed"], "nothing says that a rotation changes this variable"
    assert revived["changed"]
    assert len(calls(cloud, "ContainerService.Rollback")) == asked + 2


def test_what_it_printed_is_read_afterwards_and_once(play, cloud):
    """With Cloud Logging away, whoever has to go back in the night does not wait for it."""
    logging = {"log_options": {"log_group": "app"}}
    group = [{"logging_log_group": {"name": "app"}}]
    deployed = [stack([{"serverless_container": one["serverless_container"] | logging}]) for one in DECLARED[:2]]
    cloud.faults.add("logging.v1.LogReadingService.Read", code="UNAVAILABLE", count=None)
    try:
        went = play(stack(group), *deployed, back()).results[-1]
    finally:
        cloud.faults.clear()
    assert play(stack([*DECLARED[:1], *group], state="absent")).code == 0
    assert went["changed"] and went["revision"]["image_url"] == IMAGE + "1"
    (said,) = went["last_lines"]
    assert said.startswith("(they cannot be read: ") and "UNAVAILABLE" in said
    asked = [
        entry["method"].rpartition(".")[2] for entry in calls(cloud, ("ContainerService.Rollback", "Service.Read"))
    ]
    assert asked[-2:] == ["Rollback", "Read"]

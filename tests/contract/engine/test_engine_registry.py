"""A registry with images in it is not deleted by accident."""

from __future__ import annotations

import time
from pathlib import Path

import jinja2
import pytest
import yaml
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.descriptors import methods, new
from engine_runs import Engine

from rehearsal.cloud import server
from rehearsal.world import StoredImage, World
from stagecraft import push

KIND = "containerregistry_registry"
DIGEST = "sha256:" + "a" * 64
POLICIES = "containerregistry.v1.LifecyclePolicyService"
INVENTORY = Path(__file__).parents[3] / "inventories" / "mvp" / "group_vars" / "all" / "application.yml"
DAY = 86400


class Holding(World):
    """Every registry has the images of `held` (digest, days of age, tags) in `app`, until one is deleted."""

    def __init__(self) -> None:
        self.held = [(DIGEST, 0, ("v1",))]

    def images(self, cloud, registry) -> list[StoredImage]:
        return [
            StoredImage(f"{registry.id}/app", digest, tags, 1, time.time() - days * DAY, (digest, 1), ())
            for digest, days, tags in self.held
        ]

    def delete_image(self, cloud, image) -> None:
        self.held = []


@pytest.fixture
def world():
    return Holding()


@pytest.fixture
def engine(tmp_path, world):
    emulator = server.start(tmp_path / "cloud", world=world)
    yield Engine.at(emulator)
    emulator.stop()


def test_only_who_says_so_deletes_its_images(engine):
    engine.apply(KIND, {"name": "stage"})
    policy = {"registry": "stage", "repository": "app", "name": "old", "rules": [{"untagged": True, "retained_top": 1}]}
    assert engine.apply("containerregistry_lifecycle_policy", policy)["changed"], "the push has made the repository"
    with pytest.raises(Fail, match="containerregistry_registry stage: .*is not empty: delete its images first"):
        engine.apply(KIND, {"name": "stage"}, state="absent")
    assert engine.apply(KIND, {"name": "stage", "with_images": True})["changed"] is False
    assert engine.apply(KIND, {"name": "stage", "with_images": True}, state="absent")["changed"]
    assert not engine.apply(KIND, {"name": "stage"}, state="info")["exists"]


def test_a_repository_goes_with_its_images_only_where_it_is_said(engine):
    repository = {"registry": "stage", "name": "app"}
    kind = "containerregistry_repository"
    engine.apply(KIND, {"name": "stage"})
    with pytest.raises(Fail, match="app: .*is not empty: delete its images first"):
        engine.apply(kind, repository, state="absent")
    assert engine.apply(kind, {**repository, "with_images": True}, state="absent")["changed"]
    assert not engine.apply(kind, repository, state="info")["exists"]
    engine.apply(KIND, {"name": "stage"}, state="absent")


def test_a_repository_of_a_registry_that_is_not_there(engine):
    with pytest.raises(Fail, match="registry: there is no containerregistry_registry nope"):
        engine.apply("containerregistry_repository", {"registry": "nope", "name": "app"})
    with pytest.raises(Fail, match="there is no containerregistry_registry nope"):
        engine.apply("containerregistry_lifecycle_policy", {"registry": "nope", "repository": "app", "name": "old"})
    both = [
        {"containerregistry_lifecycle_policy": {"registry": "other", "repository": "api", "name": "old", "rules": []}},
        {"containerregistry_repository": {"registry": "other", "name": "api"}},
        {KIND: {"name": "other"}},
    ]
    assert [row["changed"] for row in engine.stack(both, check=True)] == [True, True, True]
    engine.build(both)
    wrong = [{"containerregistry_repository": {"registry": "other", "name": "web"}}]
    wrong += [{"containerregistry_lifecycle_policy": {"registry": "other", "repository": "apis", "name": "new"}}]
    with pytest.raises(Fail, match=r"there is no containerregistry_repository apis \(did you mean"):
        engine.stack(wrong)


def would_delete(engine: Engine, policy: str) -> list[str]:
    """The tags of the images that a policy would delete, each the first one of its image, by the product's dry run."""

    def ask(method: str, **values: str):
        return engine.session.call(POLICIES, method, new(methods(POLICIES)[method].input_type, **values))

    done = ask("DryRun", lifecycle_policy_id=policy)
    result = new(methods(POLICIES)["GetDryRunResult"].output_type)
    assert done.response.Unpack(result)
    ident = result.dry_run_lifecycle_policy_result_id
    assert ask("GetDryRunResult", dry_run_lifecycle_policy_result_id=ident) == result
    assert [*ask("ListDryRunResults", lifecycle_policy_id=policy).dry_run_lifecycle_policy_results][-1] == result
    listed = ask("ListDryRunResultAffectedImages", dry_run_lifecycle_policy_result_id=ident).affected_images
    assert len(listed) == result.affected_images_count
    return sorted(next(iter(image.tags), "") for image in listed)


def test_builds_that_never_served_do_not_push_out_what_serves(engine, world):
    """By the rules of the mvp stage, as the product documents what they mean."""
    declared = yaml.safe_load(INVENTORY.read_text())
    (policy,) = declared["image_lifecycles"]
    rules = [{n: jinja2.Template(str(v)).render(declared) for n, v in rule.items()} for rule in policy["rules"]]
    engine.apply(KIND, {"name": "stage"})
    values = {"registry": "stage", "repository": "app", "name": "newest", "rules": rules}
    made = engine.apply("containerregistry_lifecycle_policy", values)["lifecycle_policy"]

    def build(number: int, days: float, *tags: str) -> tuple[str, float, tuple[str, ...]]:
        return f"sha256:{number:064x}", days, tags

    kept = declared["images_kept"]
    fresh = [build(n, 50 + n, f"fresh-{n:02}") for n in range(kept)]
    stale = [build(100 + n, 100 + n, f"stale-{n:02}") for n in range(3)]
    serving = build(200, 300, "an-old-one", f"{push.SERVED}an-old-one")
    world.held = [*fresh, *stale, serving, build(300, 3), build(301, 1)]
    assert would_delete(engine, made["id"]) == ["", "stale-00", "stale-01", "stale-02"]
    served = [build(400 + n, 120 + n, f"then-{n:02}", f"{push.SERVED}then-{n:02}") for n in range(kept)]
    world.held += served
    assert "an-old-one" in would_delete(engine, made["id"]), "as many others have served since"
    assert not [tag for tag in would_delete(engine, made["id"]) if tag.startswith(("then", "served", "fresh"))]

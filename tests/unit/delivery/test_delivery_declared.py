"""What a stage declares of its delivery, and what is wrong in it, said with its place before anything is written."""

from __future__ import annotations

import pytest

from stagecraft.delivery import declared, files
from stagecraft.delivery.declared import Delivery
from stagecraft.stages import Refused, Stage

MVP = "delivery:\n  deploy: automatic\n  image: true\n  rollback: true\n  url: https://mvp.example.com/\n"
PLACE = "inventories/mvp/group_vars/all/delivery.yml"


def test_what_is_declared_and_what_is_not(checkout):
    checkout(
        mvp=MVP, partners="delivery: {deploy: manual, branch: release/1.x, runner: [linux, big]}\n", quiet="# no\n"
    )
    assert declared.everything() == [
        Delivery("mvp", "automatic", image=True, rollback=True, url="https://mvp.example.com/"),
        Delivery("partners", "manual", branch="release/1.x", runner=("linux", "big")),
    ]


@pytest.mark.parametrize(("text", "place", "says"), [
    ("delivery:\n  deploy: manual\n  rolback: true\n", "3:3", "has no key rolback. Did you mean rollback? There"),
    ("delivery:\n  deploy: auto\n", "2:3", "delivery.deploy is 'auto'; it has to be automatic (each commit of"),
    ("delivery:\n  deploy: true\n", "2:3", "delivery.deploy is True; it has to be automatic"),
    ("delivery:\n  deploy: [manual]\n", "2:3", "delivery.deploy is ['manual']; it has to be"),
    ("delivery:\n  deploy: manual\n  image: 'yes'\n", "3:3", "delivery.image is 'yes'; it has to be true or false"),
    ("delivery:\n  deploy: manual\n  rollback: 1\n", "3:3", "delivery.rollback is 1; it has to be true or false"),
    ("delivery:\n  deploy: manual\n  url: https://{{ public_hostname }}/\n", "3:3", "a pipeline fills in no variables"),
    ("delivery:\n  deploy: manual\n  url: http://mvp.example.com\n", "3:3", "it has to be an https:// address"),
    ("delivery:\n  deploy: manual\n  branch: 'main\" || true'\n", "3:3", "it has to be the name of a branch"),
    ("delivery:\n  deploy: manual\n  runner: linux\n", "3:3", "it has to be a list of the labels"),
    ("delivery:\n  deploy: manual\n  runner: []\n", "3:3", "it has to be a list of the labels"),
    ("delivery:\n  image: true\n", "1:1", "delivery.deploy is missing: automatic (each commit of the branch) or manual"),
    ("delivery: manual\n", "1:11", "delivery has to be a mapping with the keys deploy, branch,"),
    ("delivery:\n  deploy: manual\n  deploy: automatic\n", "3:3", "deploy is here a second time; the first is at 2:3"),
    ("delivery: [\n", "2:1", "this is no YAML"),
])  # fmt: skip
def test_a_mistake_is_said_with_its_place(checkout, text, place, says):
    root = checkout(mvp=text)
    with pytest.raises(Refused) as refused:
        files.write()
    assert refused.value.code == 2
    assert str(refused.value).startswith(f"{PLACE}:{place}: ") and says in str(refused.value), refused.value
    assert not (root / ".gitlab-ci.yml").exists()


def test_two_files_must_not_both_say_it(checkout):
    root = checkout(mvp=MVP)
    (root / "inventories/mvp/group_vars/all/other.yml").write_text("x: 1\ndelivery: {deploy: manual}\n")
    with pytest.raises(Refused, match=f"other.yml:2:1: delivery is here a second time; the first is at {PLACE}:1:1"):
        declared.of(Stage("mvp"))


def test_one_branch_is_deployed_automatically_to_one_stage(checkout):
    checkout(mvp=MVP, demo="delivery: {deploy: automatic, branch: demo}\n")
    assert [one.stage for one in declared.everything()] == ["demo", "mvp"]
    checkout(mvp=MVP, demo="delivery: {deploy: automatic}\n")
    with pytest.raises(
        Refused, match=f"^{PLACE}:1:1: the branch main is deployed to demo automatically already"
    ) as refused:
        declared.everything()
    assert "inventories/demo/group_vars/all/delivery.yml:1:1" in str(refused.value)


def test_what_nothing_here_can_do_is_refused(checkout):
    root = checkout(mvp=MVP)
    (root / "playbooks/rollback.yml").unlink()
    with pytest.raises(
        Refused, match=":4:3: delivery.rollback is true, but there is no playbooks/rollback.yml to do it"
    ):
        declared.of(Stage("mvp"))
    (root / "Makefile").write_text("rollback:\n")
    with pytest.raises(Refused, match=":3:3: delivery.image is true, but there is no `make image` to do it"):
        declared.of(Stage("mvp"))


def test_a_name_that_no_job_can_have(checkout):
    checkout(**{"my stage": MVP})
    with pytest.raises(Refused, match="my stage cannot name a job: use small letters, digits and hyphens"):
        declared.everything()


def test_a_stage_without_a_way_back(checkout):
    checkout(mvp=MVP, partners="delivery: {deploy: manual}\n", quiet="# no\n")
    assert declared.way_back(Stage("mvp")).name == "rollback.yml"
    for name in ("partners", "quiet"):
        with pytest.raises(Refused, match=f"{name} declares no way back"):
            declared.way_back(Stage(name))

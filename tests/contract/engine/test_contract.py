"""Every declared resource through its life, as `cases/<kind>.yml` says; the same steps for all of them."""

from __future__ import annotations

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL
from engine_runs import CASES, Engine, case, kind_of

KINDS = sorted(r.kind for r in ALL)


def test_every_resource_has_a_case():
    assert sorted(p.stem for p in CASES.glob("*.yml")) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_life(engine: Engine, kind: str):
    life = Life(engine, kind)
    engine.build(life.needs)
    try:
        life.create()
        life.leave_alone()
        life.change()
        life.clear()
        life.refuse()
        life.rename()
        life.delete()
    finally:
        for identity in (life.identity, life.first):
            engine.stack([{kind: identity}], "absent")
        engine.demolish(life.needs)


class Life:
    """The steps. A real run must do what check mode said, and a repeat must do nothing."""

    def __init__(self, engine: Engine, kind: str) -> None:
        self.engine, self.kind = engine, kind
        self.case = case(kind)
        self.needs, self.whole = self.case.get("needs", []), self.case["create"]
        keys = [n for n, b in engine.session.bound(kind_of(kind)).items() if b.field.key]
        self.identity = {n: v for n, v in self.whole.items() if n in keys}
        self.first = self.identity
        self.noun = kind_of(kind).noun

    def apply(self, values: dict, **how: object) -> dict:
        return self.engine.apply(self.kind, values, **how)

    def both(self, values: dict) -> dict:
        """Check mode, the real run, the repeat, check mode again."""
        before = len(self.engine.calls())
        would = self.apply(values, check=True)
        assert len(self.engine.calls()) == before, "check mode changed something"
        did = self.apply(values)
        assert (would["changed"], would["diff"]) == (did["changed"], did["diff"])
        after = len(self.engine.calls())
        for again in (self.apply(values), self.apply(values, check=True)):
            assert not again["changed"], again["diff"]
        assert len(self.engine.calls()) == after, "a repeat called something"
        return did

    def create(self) -> None:
        assert self.apply(self.identity, state="info")["exists"] is False
        missing = self.apply(self.identity, state="absent")
        assert not missing["changed"]
        made = self.both(self.whole)
        assert made["changed"] and made["exists"] and made["diff"]["before"] == {}
        seen = self.apply(self.identity, state="info")
        assert seen["exists"] and not seen["changed"]
        assert {n: seen[self.noun].get(n) for n in made[self.noun]} == made[self.noun]
        if "labels" in self.engine.session.bound(kind_of(self.kind)):
            labels = seen[self.noun].get("labels") or {t["key"]: t["value"] for t in seen[self.noun]["tags"]}
            assert labels["stagecraft-stage"] == "contract"

    def leave_alone(self) -> None:
        """What is not set is left alone."""
        result = self.apply(self.identity)
        assert not result["changed"], result["diff"]

    def change(self) -> None:
        for step in self.case.get("update", []):
            done = self.both({**self.identity, **step["set"]})
            assert done["changed"] and set(done["diff"]["after"]) == set(step.get("changed", step["set"]))
            if "mask" in step:
                updates = [e for e in self.engine.calls("Update") if e.get("mask")]
                assert sorted(updates[-1]["mask"].split(",")) == sorted(step["mask"])

    def clear(self) -> None:
        """Empty clears, but not the stage's own labels."""
        for option, empty in self.case.get("clear", {}).items():
            done = self.both({**self.identity, option: empty})
            assert done["changed"] and list(done["diff"]["after"]) == [option]
            if option == "labels":
                assert done["diff"]["after"]["labels"]["stagecraft-stage"] == "contract"

    def refuse(self) -> None:
        """What only a new one can have, and what cannot be at all; nothing is called."""
        for option, value in self.case.get("immutable", {}).items():
            before = len(self.engine.calls())
            for check in (True, False):
                with pytest.raises(Fail, match=rf"^{self.kind} .*: {option} cannot be changed from .* to "):
                    self.apply({**self.identity, option: value}, check=check)
            assert len(self.engine.calls()) == before
        for wrong in self.case.get("refused", []):
            with pytest.raises(Fail) as error:
                self.apply({**self.identity, **wrong["set"]})
            assert wrong["says"] in str(error.value)

    def rename(self) -> None:
        """In place: it stays the same one; either name finds it to delete."""
        if not kind_of(self.kind).backend(None, kind_of(self.kind), {}).renameable():
            return
        before = self.apply(self.identity, state="info")[self.noun]["id"]
        old, new = self.identity["name"], f"{self.identity['name']}-2"
        done = self.both({**self.identity, "name": new, "renamed_from": old})
        assert (done["diff"]["before"], done["diff"]["after"]) == ({"name": old}, {"name": new})
        assert done[self.noun]["id"] == before
        gone = self.apply({**self.identity, "name": f"{new}-3", "renamed_from": new}, check=True, state="absent")
        assert gone["changed"]
        self.identity = {**self.identity, "name": new}

    def delete(self) -> None:
        would = self.apply(self.identity, check=True, state="absent")
        assert self.apply(self.identity, state="info")["exists"]
        did = self.apply(self.identity, state="absent")
        assert did["changed"] and (would["changed"], would["diff"]) == (did["changed"], did["diff"])
        for again in (self.apply(self.identity, state="absent"), self.apply(self.identity, check=True, state="absent")):
            assert not again["changed"]
        assert self.apply(self.identity, state="info")["exists"] is False

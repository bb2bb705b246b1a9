"""The engine: the only state machine. It finds, compares and decides; a backend does it. It knows no cloud."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any

from .declaration import SELF, Fail, Field, Ref, Resource, Unknown, has_secret, references
from .options import label
from .references import nothing
from .values import HIDDEN, edits, fingerprints, may_hide, plain, same, show, without_secrets

__all__ = ["SELF", "Fail", "Field", "Ref", "Resource", "Unknown", "apply"]

OURS = ("stagecraft-stage", "stagecraft-app")  # labels that a declaration neither sets nor clears


@dataclass
class Plan:
    """What has been found and what will be done about it."""

    have: dict | None
    wanted: dict[str, Any]
    postponed: list[str] = field(default_factory=list)  # they name the resource itself, which has to exist for that
    secrets: dict[str, tuple] = field(default_factory=dict)  # option -> where its value is kept
    versions: dict[str, str] = field(default_factory=dict)  # option -> the version of its secret that is current
    changed: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)  # changed, and only a new one can have it
    stopping: list[str] = field(default_factory=list)  # changed, and it has to be stopped for that
    ours: dict[str, str] = field(default_factory=dict)  # labels that one that is made anew has, too
    diff: dict[str, dict] = field(default_factory=lambda: difference({}, {}))

    @property
    def creates(self) -> bool:
        return self.have is None or bool(self.frozen)


def apply(resource: Resource, params: dict, session: Any, check: bool = False) -> dict[str, Any]:
    """Bring one resource to the state that params say: present, absent, or info, which only looks.

    Returns changed, diff (before and after), `change` (see `Run.change`), exists, the resource itself under its noun, and
    in check mode the references that do not exist yet, and `declared`, the values that would hold, or `was`, those of one
    that would be deleted. A session that keeps a record also gets `applied`, the values that hold now, `seen`, and
    `secret_versions` (see `Run.recorded`). Raises Fail.
    """
    backend = resource.backend(session, resource, params)
    run = Run(backend, params, session, check)
    try:
        try:
            return run.run()
        except Fail as error:
            taken = getattr(error, "code", "") == "ALREADY_EXISTS" and backend.raw is None
            if not (taken and backend.appears()):
                raise
            return Run(resource.backend(session, resource, params), params, session, check).run()
    except Fail as error:
        error.item = error.item or run.label()
        raise


def seen(bound: Any, have: dict, wanted: Container[str]) -> dict[str, Any]:
    """All plain values that may be kept: no secret, not what is part of the identity, and of maps that are not declared,
    where somebody may have put a password, only fingerprints."""
    open_to_all = {n: b for n, b in bound.items() if n in have and not (b.field.write_only or b.field.key)}
    kept = {n: without_secrets(b, have[n]) for n, b in open_to_all.items()}
    return {n: fingerprints(v) if may_hide(bound[n]) and n not in wanted else v for n, v in kept.items()}


def difference(before: dict, after: dict) -> dict[str, dict]:
    return {"before": before, "after": after}


def names_itself(bound: Any, value: Any, name: str) -> bool:
    """Whether an option's value refers to the very resource that has it."""
    return any(
        f.target is SELF and to == name for f, to, _ in references({bound.field.name: bound}, {bound.field.name: value})
    )


class Run:
    """One resource brought to its state, once."""

    def __init__(self, backend: Any, params: dict, session: Any, check: bool) -> None:
        self.backend, self.bound, self.params = backend, backend.bound, params
        self.session, self.check, self.state = session, check, params["state"]
        self.names: dict[Any, str] = {}  # id -> the name that the user gave
        self.missing: set[str] = set()  # references that do not exist yet
        self.renames = False  # it was found under the name in renamed_from

    def run(self) -> dict[str, Any]:
        have = self.find()
        if self.state == "absent":
            return self.remove(have)
        if self.state == "info":
            return self.result(False, difference({}, {}), have is not None, self.backend.details)
        plan = self.plan(have)
        self.refuse(plan)
        if not self.check:
            self.carry_out(plan)
            if plan.postponed:
                self.carry_out(self.plan(self.backend.have()))
        elif self.renames:  # so that what refers to the new name finds it
            self.session.remember(self.backend)
        changed = plan.have is None or bool(plan.changed)
        result = self.result(changed, plan.diff, plan.have is not None or not self.check) | {
            "change": self.change(plan)
        }
        if self.check:
            return result | {"declared": self.told(plan.wanted)}
        return result if self.session.applied_secrets is None else result | self.recorded(plan)

    def find(self) -> dict | None:
        """What is there now; None where it, or what it lives in, does not exist."""
        keys = self.backend.keys = {}  # filled in order: a repository is looked for in its registry
        for n in [n for n, b in self.bound.items() if b.field.key]:
            keys[n] = plain(self.bound[n], self.params[n] or "", self.resolve)
            if isinstance(keys[n], Unknown):
                return None
        have, old = self.backend.find(), self.params.get("renamed_from")
        if have is None and old:
            self.backend.keys = {**keys, "name": old}
            have = self.backend.find()
            self.renames = have is not None
            self.backend.keys = {**self.backend.keys, "name": keys["name"]}
        return have

    def resolve(self, f: Field, name: str) -> Any:
        """The id (or other value) of what a reference names."""
        target = self.backend.resource if f.target is SELF else f.target
        if f.target is SELF and name == self.params.get("name"):
            own = self.backend.id or Unknown(f"{target.kind} {name}")
            self.names[own] = name
            return own
        scope = {k: v for k, v in self.backend.keys.items() if target.parent is not None and k == target.parent.name}
        got = self.session.resolve(target, {**scope, "name": name}, f.take)
        if got is None:
            if not self.check and self.state == "present":
                raise Fail(f"{f.name}: {nothing(target, name)}")
            self.missing.add(f"{target.kind} {name}")
            got = Unknown(f"{target.kind} {name}")
        if not isinstance(got, list):
            self.names[got] = name
        return got

    def name(self, f: Field, value: Any) -> Any:
        """What a reference is called: as the user wrote it, or else as the cloud has it."""
        if value not in self.names:
            target = self.backend.resource if f.target is SELF else f.target
            found = "" if f.take else target.backend(self.session, target, {}).name_of(value)
            self.names[value] = found or value
        return self.names[value]

    # ---- deciding ----
    def plan(self, have: dict | None) -> Plan:
        given = {n: self.params.get(n) for n, b in self.bound.items() if not b.field.key}
        plan = Plan(have, {n: plain(self.bound[n], v, self.resolve) for n, v in given.items() if v is not None})
        for n in [n for n, b in self.bound.items() if b.field.write_only]:
            if f"{n}_secret" in plan.wanted:
                place = plan.wanted.pop(f"{n}_secret")
                plan.secrets[n] = place["secret"], place["key"]
        if self.renames:
            plan.wanted["name"] = self.backend.keys["name"]
        if have is not None:
            self.backend.examine(plan.wanted, have)
        self.label_it(plan)
        plan.changed = [n for n, v in plan.wanted.items() if have is None or not same(self.bound[n], v, have.get(n))]
        if have is not None and self.params.get("update_secrets"):
            plan.changed += [n for n in plan.wanted if n not in plan.changed and has_secret(self.bound[n])]
            plan.changed += list(plan.secrets)
        self.compare_versions(plan)
        if have is not None:
            plan.frozen = [n for n in plan.changed if self.backend.frozen(n, plan.wanted.get(n), have.get(n))]
        if have is not None and not plan.frozen and self.backend.running():
            plan.stopping = [n for n in plan.changed if self.bound[n].field.stops]
        plan.diff = difference(
            {n: show(self.bound[n], have.get(n), self.name) for n in plan.changed} if have is not None else {},
            {n: show(self.bound[n], plan.wanted.get(n, ""), self.name) for n in plan.changed},
        )
        return plan

    def change(self, plan: Plan) -> dict[str, list]:
        """Field by field what differs, what makes it a new one, and what stops it. A field without a difference has a
        secret that is sent again."""
        found: list = []
        for n in plan.changed if plan.have is not None else ():
            bound, want, have = self.bound[n], plan.wanted.get(n), plan.have.get(n)
            hidden = show(bound, want, self.name) if n in plan.wanted else HIDDEN
            found += list(edits(bound, want, have, self.name, n)) or [(n, hidden, hidden)]
        return {"fields": [list(edit) for edit in found], "replaces": plan.frozen, "stops": plan.stopping}

    def compare_versions(self, plan: Plan) -> None:
        """A secret whose current version is not the one that the record says was sent is sent again; so is one that no
        record tells of, because whoever was to write it may have been cut off."""
        if self.session.applied_secrets is None:
            return
        places = {n: secret for n, (secret, _) in plan.secrets.items() if not isinstance(secret, Unknown)}
        plan.versions = {n: self.session.secret_version(secret) for n, secret in places.items()}
        sent = self.session.applied_secrets.get(self.label(), {})
        if plan.have is not None:
            plan.changed += [n for n, v in plan.versions.items() if n not in plan.changed and sent.get(n) != v]

    def label(self) -> str:
        return label(self.backend.resource, self.params, [n for n, b in self.bound.items() if b.field.key])

    def label_it(self, plan: Plan) -> None:
        """The stage's own labels are added to what is declared and survive `labels: {}`."""
        bound = self.bound.get("labels")
        if bound is None or bound.kind != "map":
            return
        there = (plan.have or {}).get("labels") or {}
        plan.ours = ours = {k: v for k, v in there.items() if k in OURS} | self.session.stage_labels
        wanted = plan.wanted.get("labels", there) | ours
        if "labels" in plan.wanted or wanted != there:
            plan.wanted["labels"] = wanted

    def refuse(self, plan: Plan) -> None:
        """What the user has to decide or to say first; raised before anything is done."""
        instead = [self.bound[n].field.fixed for n in plan.frozen if self.bound[n].field.fixed]
        if plan.frozen and (instead or not self.params.get("replace")):
            before, after = plan.diff["before"], plan.diff["after"]
            said = "; ".join(f"{n} cannot be changed from {before[n]!r} to {after[n]!r}" for n in plan.frozen)
            advice = instead or ["only a new one can have it; replace: true deletes this one and creates it again"]
            raise Fail(f"{said}: {'; '.join(advice)}")
        if plan.creates:
            known = {*plan.wanted, *plan.secrets, *self.defaults()}
            missing = [n for n, b in self.bound.items() if b.required and not b.field.key and n not in known]
            if missing:
                why = "would be replaced" if plan.frozen else "does not exist"
                raise Fail(f"it {why}; to create it set: {', '.join(missing)}")
        if plan.stopping and not self.params.get("allow_stopping"):
            raise Fail(f"{', '.join(plan.stopping)} can change only while it is stopped: allow_stopping: true stops it")

    def defaults(self) -> dict[str, Any]:
        """What is sent at creation where the user says nothing."""
        given = {n: b for n, b in self.bound.items() if b.field.default is not None and not b.field.key}
        return {n: plain(b, b.field.default, self.resolve) for n, b in given.items()}

    # ---- doing ----
    def carry_out(self, plan: Plan) -> None:
        """Every secret is read before anything is deleted or made."""
        wanted = dict(plan.wanted)
        if plan.creates or set(plan.secrets) & set(plan.changed):
            wanted |= {n: self.session.secret(*where) for n, where in plan.secrets.items()}
        if plan.frozen:
            self.backend.delete()
            self.session.forget(self.backend)
        if plan.creates:
            plan.postponed = [
                n for n in wanted if names_itself(self.bound[n], self.params.get(n), self.params.get("name"))
            ]
            labels = {"labels": plan.ours} if plan.ours else {}
            self.backend.create(
                {**self.defaults(), **labels, **{n: v for n, v in wanted.items() if n not in plan.postponed}}
            )
        elif plan.changed:
            self.backend.update(wanted, plan.changed, stop=bool(plan.stopping))
        self.session.remember(self.backend)
        self.renames = False

    def remove(self, have: dict | None) -> dict[str, Any]:
        if have is None:
            return self.result(False, difference({}, {}), False)
        result = self.result(True, difference({"state": "present"}, {"state": "absent"}), False)
        if self.check:
            return result | {"was": self.told(have, lambda _, value: value)}
        self.backend.delete()
        self.session.forget(self.backend)
        return result

    def recorded(self, plan: Plan) -> dict[str, Any]:
        """What a record says of it: the values that were applied, without secrets, and which versions of those were sent;
        and `seen`, in the API's own units, all that could be declared of it. What nobody declares is as it was first seen,
        so that a record does not take over what was changed outside."""
        have = plan.have
        if have is None or plan.changed:
            have = self.find() or self.backend.have()
            self.backend.examine(dict(plan.wanted), have)
        earlier = None if plan.creates else self.session.seen.get(self.label())
        whole = seen(self.bound, self.backend.closer(have), plan.wanted) if earlier is None else earlier
        said = {n: have[n] for n in plan.wanted if n in have and not (n in whole and self.says_more(plan, n, whole[n]))}
        now = whole | seen(self.bound, said, plan.wanted)
        return {"applied": self.told(plan.wanted), "seen": now, "secret_versions": plan.versions}

    def says_more(self, plan: Plan, n: str, kept: Any) -> bool:
        """Whether what is kept of an option has all that is declared of it, and maybe things beside that nobody declares."""
        bound = self.bound[n]
        return bool(bound.children) and not bound.listy and n not in plan.changed and same(bound, plan.wanted[n], kept)

    def told(self, values: dict[str, Any], name: Callable[[Field, Any], Any] | None = None) -> dict[str, Any]:
        """Values as one would write them, without secrets; `name` says what a reference is called, by default by asking."""
        kept = {n: v for n, v in values.items() if n in self.bound and not self.bound[n].field.write_only}
        return {n: show(self.bound[n], without_secrets(self.bound[n], v), name or self.name) for n, v in kept.items()}

    def result(self, changed: bool, diff: dict, exists: bool, details: Callable[[], dict] = dict) -> dict[str, Any]:
        found = {self.backend.resource.noun: self.backend.returned() | details()} if exists else {}
        return {"changed": changed, "diff": diff, "exists": exists, "missing": sorted(self.missing), **found}

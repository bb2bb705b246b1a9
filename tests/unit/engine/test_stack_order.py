"""The order of many declarations, over a backend that is a dictionary."""

from __future__ import annotations

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Ref, Resource
from ansible_collections.stagecraft.platform.plugins.module_utils.resource import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.stack import stack
from fake_cloud import NAME, PLACE, THING, Fake, Session

CREATE = "correct the name, declare it in the same list, or create it"
LINKS = [Resource(f"fake.v1.Link{n}", Fake, fields=(NAME,)) for n in range(3)]


def link(n: int, late: bool = False) -> Resource:
    """A kind whose `next` is the kind after it, round in a circle."""
    return Resource(f"fake.v1.Link{n}", Fake, fields=(NAME, Ref("next", LINKS[(n + 1) % 3], late=late)))


def item(resource: Resource, name: str, state: str = "present", **values: object) -> tuple:
    return resource, {"name": name, "state": state, **values}


def order(session: Session, verb: str) -> list[str]:
    return [name for done, name, _ in session.asked if done == verb]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_is_referred_to_comes_first_and_goes_last(state):
    session = Session()
    items = [item(THING, "a", place="here"), item(THING, "b", place="here"), item(PLACE, "here")]
    stack(items, session)
    assert order(session, "create")[0] == "here"
    results = stack([(r, p | {"state": "absent"}) for r, p in items], session)
    assert order(session, "delete")[-1] == "here" and all(r["changed"] for r in results)


def test_who_acts_as_somebody_comes_after_the_roles_of_that_one():
    role = Resource("fake.v1.Role", Fake, fields=(NAME, Ref("who", PLACE, gives=True)))
    actor = Resource(
        "fake.v1.Actor", Fake, fields=(NAME, Ref("who", PLACE, acts=True), Ref("guest", PLACE, gives=True))
    )
    session = Session()
    declared = [
        item(actor, "first", who="here", guest="there"),
        item(actor, "second", who="there", guest="here"),
        item(role, "of-here", who="here"),
        item(role, "of-there", who="there"),
        item(PLACE, "here"),
        item(PLACE, "there"),
    ]
    stack(declared, session, workers=1)
    made = order(session, "create")
    assert len(made) == len(declared)
    assert made.index("of-here") < made.index("first") and made.index("of-there") < made.index("second")
    assert not any("error" in r for r in stack([(r, p | {"state": "absent"}) for r, p in declared], session))


def test_a_circle_names_its_path_and_nothing_is_done():
    session = Session()
    with pytest.raises(
        Fail, match=r"circle: fake_link\d x -> fake_link\d x -> fake_link\d x -> fake_link\d x; take one"
    ):
        stack([item(link(n), "x", next="x") for n in range(3)], session)
    assert session.asked == []


def test_a_circle_is_cut_where_that_is_allowed():
    session, declared = Session(), [item(link(n, late=n == 1), "x", next="x") for n in range(3)]
    assert all(r["changed"] for r in stack(declared, session, check=True)) and session.asked == []
    results = stack(declared, session)
    assert [r.get("error") for r in results] == [None] * 3
    assert len(order(session, "create")) == 3 and len(order(session, "update")) == 1
    assert results[1]["diff"] == {"before": {}, "after": {"next": "x"}}
    assert not any(r["changed"] for r in stack(declared, session))
    session.asked.clear()
    gone = stack([(r, p | {"state": "absent"}) for r, p in declared], session)
    assert [r.get("error") for r in gone] == [None] * 3 and session.things == {}
    assert session.asked[0][0] == "update", "it lets go before anything is deleted"


def test_what_failed_is_named_by_what_was_not_tried():
    session = Session()
    session.broken = {("create", "here")}
    told: list[dict] = []
    thing, place, other = stack(
        [item(THING, "a", place="here"), item(PLACE, "here"), item(PLACE, "there")], session, progress=told.append
    )
    assert place["error"] == "fake_place here: broken" and other["changed"]
    assert thing["error"] == "not tried, because this failed: fake_place here"
    assert len(told) == 3


def test_what_is_declared_is_not_missing_in_check_mode():
    results = stack([item(THING, "a", place="here"), item(PLACE, "here")], Session(), check=True)
    assert [r["missing"] for r in results] == [[], []]


@pytest.mark.parametrize("check", [True, False])
def test_what_names_nothing_is_refused_before_anything_is_done(check):
    session = Session()
    items = [item(PLACE, "here"), item(THING, "a", place="hear"), item(THING, "b", place="here", friends=["there"])]
    with pytest.raises(Fail) as error:
        stack(items, session, check)
    assert str(error.value).splitlines() == [
        "2 things are wrong in the declarations; nothing was touched:",
        f"- fake_thing a: place: there is no fake_place hear (did you mean here?): {CREATE}",
        f"- fake_thing b: friends: there is no fake_place there (did you mean here?): {CREATE}",
    ]
    assert session.asked == []


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (item(PLACE, "here", "absent"), "the same list deletes fake_place here: declare it present"),
        (item(PLACE, "new", renamed_from="here"), "the same list renames fake_place here: say new"),
    ],
)
def test_what_the_same_list_takes_away_cannot_be_referred_to(other, says):
    session = Session()
    stack([item(PLACE, "here")], session)
    session.asked.clear()
    with pytest.raises(Fail, match=f"^fake_thing a: place: {says}. Nothing was touched$"):
        stack([item(THING, "a", place="here"), other], session)
    assert session.asked == []


def test_what_is_looked_at_or_deleted_may_refer_to_nothing():
    session = Session()
    results = stack([item(THING, n, state, place="gone") for n, state in (("a", "absent"), ("b", "info"))], session)
    assert [(r["exists"], r.get("error")) for r in results] == [(False, None)] * 2

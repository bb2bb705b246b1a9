"""Decisions about instances, without any."""

from __future__ import annotations

import pytest

from rehearsal.serverless.scaling import Scale


def scale(*busy: int, **given: int) -> Scale:
    """A revision whose instances `0`, `1` … have so many requests, and have had none since second 0, 1 …"""
    made = Scale(**{"concurrency": 2, "limit": 4, **given})
    for number, requests in enumerate(busy):
        made.add(number, number).busy = requests
    return made


@pytest.mark.parametrize(
    ("busy", "taken"),
    [((), None), ((2, 2), None), ((0, 0), 1), ((0, 1), 1), ((1, 0), 0), ((2, 0), 1)],
    ids=["none", "all full", "the last used", "the fuller", "the fuller although used before", "the one with room"],
)
def test_a_request_goes_where_others_can_become_idle(busy, taken):
    made = scale(*busy)
    seat = made.take()
    assert (seat.instance if seat else None) == taken
    assert [s.busy for s in made.seats] == [b + (number == taken) for number, b in enumerate(busy)]


def test_a_retired_instance_gets_no_request_and_goes_when_it_is_free():
    made = scale(1, 0, limit=2)
    made.seats[0].retired = True
    assert made.take().instance == 1
    assert made.surplus(now=100, idle=1000) == []
    made.give(made.seats[0], now=100)
    assert [seat.instance for seat in made.surplus(now=100, idle=1000)] == [0]


@pytest.mark.parametrize(
    ("busy", "given", "missing"),
    [
        ((), {"waiting": 1}, 1),
        ((), {"waiting": 5}, 3),
        ((), {"waiting": 5, "starting": 2}, 1),
        ((), {"waiting": 50}, 4),
        ((2, 2), {"waiting": 50, "starting": 1}, 1),
        ((2, 2, 2, 2), {"waiting": 50}, 0),
        ((), {"provisioned": 2}, 2),
        ((1,), {"provisioned": 2, "starting": 1}, 0),
        ((), {"provisioned": 9}, 4),
        ((), {}, 0),
    ],
    ids=[
        "the first",
        "two requests an instance",
        "those that start already count",
        "no more than the limit",
        "nor with those that are there",
        "none at the limit",
        "provisioned without anybody",
        "provisioned that start already",
        "provisioned within the limit",
        "nobody wants anything",
    ],
)
def test_instances_are_started_for_those_who_wait_and_what_is_provisioned(busy, given, missing):
    made = scale(*busy)
    for name, value in given.items():
        setattr(made, name, value)
    assert made.missing() == missing


def test_a_retired_instance_does_not_count_against_the_limit():
    made = scale(1, limit=1, waiting=1)
    made.seats[0].retired = True
    assert made.missing() == 1


@pytest.mark.parametrize(
    ("provisioned", "idle", "gone"),
    [(0, 101, []), (0, 98, [0, 2]), (0, 99.5, [0]), (2, 0, [0]), (3, 0, []), (9, 0, [])],
    ids=[
        "none for long enough",
        "all",
        "the longest idle",
        "beyond the provisioned",
        "all provisioned",
        "fewer than that",
    ],
)
def test_idle_instances_go_the_longest_idle_first(provisioned, idle, gone):
    made = scale(0, 1, 0, provisioned=provisioned)
    assert [seat.instance for seat in made.surplus(now=100, idle=idle)] == gone

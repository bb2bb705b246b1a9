"""A stage's lease: one holder at a time, however many want it, and nothing of it afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.lease import UNTIL, Lease
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import environment
from engine_runs import Engine

PACKAGE = "ansible_collections.stagecraft.platform.plugins.module_utils"
TAKERS = 8
TAKER = f"""
import json, sys
from {PACKAGE}.declaration import Fail
from {PACKAGE}.lease import SERVICE, Lease
from {PACKAGE}.session import Session
session = Session.from_options()
session.stub(SERVICE)
print("ready", flush=True)
for _ in sys.stdin:
    lease = Lease(session, sys.argv[1], 60)
    try:
        lease.take(0)
        print(json.dumps(lease.id), flush=True)
    except Fail as refused:
        print(json.dumps({{"refused": str(refused)}}), flush=True)
"""


@pytest.fixture
def leases(engine: Engine):
    """Makes leases; whatever is left of them goes."""
    yield lambda holder, ttl=60: Lease(Engine.at(engine.cloud).session, holder, ttl)
    for account in accounts(engine):
        Lease(engine.session, "", 60).delete(account.id)


def accounts(engine: Engine) -> list:
    return [a for a in engine.cloud.cloud.all("iam.v1.ServiceAccount") if a.name.startswith("stagecraft-lease-")]


@pytest.fixture
def takers(engine: Engine):
    """Processes that each ask for the lease when they are told to."""
    pipe, own = subprocess.PIPE, {**environment(), **engine.cloud.env}
    command = [sys.executable, "-c", TAKER]
    made = [
        subprocess.Popen([*command, f"taker-{n}"], stdin=pipe, stdout=pipe, text=True, env=own) for n in range(TAKERS)
    ]
    yield made
    for taker in made:
        taker.communicate(timeout=30)


def race(takers: list) -> list:
    """What they are told who ask at the same moment."""
    for taker in takers:
        taker.stdin.write("now\n")
        taker.stdin.flush()
    return [json.loads(taker.stdout.readline()) for taker in takers]


@pytest.mark.slow
def test_of_many_exactly_one_has_it(engine, leases, takers):
    """From nothing, and again when what the others see has run out."""
    assert [taker.stdout.readline() for taker in takers] == ["ready\n"] * TAKERS
    for _ in range(3):
        answers = race(takers)
        (holder,) = [a for a in answers if isinstance(a, str)]
        refused = [a["refused"] for a in answers if isinstance(a, dict)]
        (account,) = accounts(engine)
        assert account.id == holder and len(refused) == TAKERS - 1
        assert all(f"is held by {account.description} since 20" in said for said in refused), refused
        account.labels[UNTIL] = str(int(time.time()) - 1)
        engine.cloud.cloud.kind("iam.v1.ServiceAccount").save(engine.cloud.cloud, account)


def test_who_has_it_and_since_when(engine, leases):
    leases("ann@laptop (process 7, partners.yml)").take(0)
    started = time.monotonic()
    with pytest.raises(Fail) as refused:
        leases("ben").take(2)
    assert 2 <= time.monotonic() - started < 15
    said = str(refused.value)
    assert "held by ann@laptop (process 7, partners.yml) since 20" in said and "Nothing was touched" in said


def test_it_is_had_when_it_is_let_go(engine, leases):
    first, second = leases("first"), leases("second")
    first.take(0)
    first.release()
    assert accounts(engine) == []
    second.take(0)
    assert [a.id for a in accounts(engine)] == [second.id]


def test_a_renewed_one_holds_and_a_dead_one_is_taken_over(engine, leases):
    first, second = leases("first", ttl=4), leases("second", ttl=4)
    first.take(0)
    for _ in range(4):
        time.sleep(1.5)
        assert first.renew()
        with pytest.raises(Fail, match="held by first"):
            second.take(0)
    second.take(10)  # nobody renews it any more
    assert first.renew() is False
    assert second.renew() is True
    first.release()  # lets go of its own only
    assert [a.id for a in accounts(engine)] == [second.id]


def test_an_answer_lost_after_the_work_was_done(engine, leases):
    engine.cloud.faults.add("iam.v1.ServiceAccountService.Create", effect="lose", code="UNAVAILABLE", count=1)
    lease = leases("first")
    lease.take(0)
    assert [a.id for a in accounts(engine)] == [lease.id]


def test_too_short_a_life(leases):
    with pytest.raises(Fail, match="ttl: 1 s is too short for a lease"):
        leases("first", ttl=1)


def test_who_saw_it_end_too_late_takes_nothing_from_who_was_quicker(engine, leases):
    """Between the look at a dead lease and its deletion another run took it over."""
    dead, quicker, slower = leases("dead", ttl=2), leases("quicker"), leases("slower")
    dead.take(0)
    time.sleep(3)
    (seen,) = accounts(engine)
    quicker.take(0)
    looks = iter([seen])
    look = slower.find
    slower.find = lambda: next(looks, None) or look()
    with pytest.raises(Fail, match="held by quicker"):
        slower.take(0)
    assert [a.id for a in accounts(engine)] == [quicker.id]

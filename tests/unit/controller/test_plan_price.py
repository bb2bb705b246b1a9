"""The price in a plan: of what is and of what would be, in every form of the report."""

from __future__ import annotations

import dataclasses
import io
import json
from decimal import Decimal

from rich.console import Console

from stagecraft.plan import markdown, page, price, terminal
from stagecraft.plan.model import Change, Origin, Plan, Price, read

ORIGIN = Origin("lab", "rehearsal", "b1g", "c" * 40, "d" * 64)
MACHINE = {"platform": "standard-v3", "cores": 2, "memory": "4GB", "disk_size": "10GB", "disk_type": "network-hdd"}
CORE, MEMORY, RATE = Decimal("1.24"), Decimal("0.33"), Decimal("76.0535")  # roubles an hour, and for a dollar
HOURS = 730


def both(was: dict | None, will_be: dict | None) -> dict:
    return {"was": was, "will_be": will_be}


def of(sides: dict, **declared: object) -> Price:
    return price.of_sides("lab", sides, declared)


def dollars(roubles: Decimal) -> Decimal:
    return (roubles / RATE).quantize(Decimal("0.01"))


def test_a_larger_machine_costs_what_its_fields_say():
    found = of({"compute_instance web-1": both(MACHINE, MACHINE | {"cores": 4}), "vpc_network main": both({}, {})})
    assert abs(Decimal(found.difference) - dollars(2 * CORE * HOURS)) <= Decimal("0.01")
    assert found.components.keys() == {"machines"} and found.components["machines"]["now"] == found.now
    assert found.unknown == () and found.budget is None


def test_what_is_new_and_what_goes_are_on_one_side_only():
    one = {"compute_instance web-1": both(MACHINE, MACHINE)}
    added = of({**one, "compute_instance web-2": both(None, MACHINE)})
    gone = of({**one, "compute_instance web-2": both(MACHINE, None)})
    assert added.now == gone.then and added.then == gone.now and Decimal(added.difference) == -Decimal(gone.difference)
    assert Decimal(added.then) - 2 * Decimal(added.now) in (Decimal("-0.01"), 0, Decimal("0.01"))


def test_a_use_counts_on_the_side_that_has_it():
    sides = {"vpc_address new": both(None, {}), "vpc_address old": both({}, None)}
    used = {"vpc_address": {"new": {"egress": "200GB"}}}
    found = of(sides, usage=used, budget={"monthly": 10})
    # By hand: 100 GB beyond those that are free at 1.42; the old one's are not known.
    assert Decimal(found.difference) == dollars(Decimal(142)) and found.budget == "10.00"
    assert found.unknown == (
        "vpc_address old: what it costs now by its use is not known, because `usage` has it no longer.",
    )


def test_what_has_no_price_is_said_and_the_rest_is_counted():
    odd = MACHINE | {"platform": "standard-v9"}
    found = of({"compute_instance web-1": both(None, odd), "moon_base one": both(None, {})})
    assert Decimal(found.then) > 0, "its disk has a price"
    said = " ".join(found.unknown)
    assert "has no price compute.standard-v9.vcpu-100" in said and "nothing says what a moon_base costs" in said
    wrong = of({"compute_instance web-1": both(None, MACHINE)}, budget={"monthly": 10, "currency": "EUR"})
    assert wrong.then == "" and "budget.currency is EUR" in wrong.unknown[0]


def shown(plan: Plan) -> str:
    out = io.StringIO()
    terminal.show(plan, Console(file=out, width=200, highlight=False))
    return out.getvalue()


def test_every_form_says_it():
    sides = {"compute_instance web-1": both(MACHINE, MACHINE | {"cores": 4})}
    plan = Plan(ORIGIN, (Change("compute_instance web-1", "change"),), price=of(sides, budget={"monthly": 90}))
    assert plan.price is not None
    line = f"price in USD a month: {plan.price.difference}, {plan.price.now} → {plan.price.then}, budget 90.00"
    assert line in shown(plan) and line in markdown.written(plan) and line in page.written(plan)
    html = page.written(plan)
    assert f"<title>now: {plan.price.now} USD a month, budget 90.00; then: {plan.price.then} USD" in html
    told = json.loads(json.dumps(plan.to_json()))
    assert told["price"]["difference"] == plan.price.difference and read(told) == plan
    unknown = dataclasses.replace(plan, price=of({"moon_base one": both(None, {})}))
    assert "about the price: lab: nothing says what a moon_base costs" in shown(unknown)
    assert "price" not in shown(Plan(ORIGIN, price=plan.price)), "nothing would be done"
    same = dataclasses.replace(plan, price=of({"compute_instance web-1": both(MACHINE, MACHINE)}))
    assert f"price in USD a month: {plan.price.now}, as now" in shown(same)

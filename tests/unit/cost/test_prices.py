"""Price lists: what is wrong in one is said with its place, and what is old is named."""

from __future__ import annotations

import datetime

import pytest

from stagecraft import declarations, stages
from stagecraft.cost import prices
from stagecraft.stages import Refused

RATES = "rates:\n  RUB: {per_dollar: '80', date: '2026-04-18', source: a bank}\n"
ENTRY = "price: '1.24', unit: vCPU_hour, currency: RUB, vat: '22', date: '2026-05-01', source: a page"
PLACE = "inventories/shared/prices/yandex.yml"


@pytest.fixture
def lists(tmp_path, monkeypatch):
    """Writes the prices of yandex.yml (and other files) into a checkout of their own, and loads them."""
    for module in (stages, declarations):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    folder = tmp_path / prices.FOLDER
    folder.mkdir(parents=True)

    def load(text: str, rates: str = RATES, **others: str):
        (folder / "rates.yml").write_text(rates)
        for name, content in {"yandex": text, **others}.items():
            (folder / f"{name}.yml").write_text(f"provider: {name.split('_')[0]}\nprices:\n{content}")
        return prices.load()

    return load


def test_an_entry_is_read_without_a_float(lists):
    found = lists("  a: {" + ENTRY.replace("'1.24'", "0.1") + ", per: '3'}\n").find("yandex", "a", "x")
    assert str(found.price) == "0.1" and str(found.per) == "3" and found.date == datetime.date(2026, 5, 1)
    assert found.place == f"{PLACE}:3:3"


@pytest.mark.parametrize(("text", "says"), [
    ("  a: {" + ENTRY.replace(", source: a page", "") + "}\n", f"{PLACE}:3:6: source is missing: an entry has price, unit,"),
    ("  a: {" + ENTRY.replace("'1.24'", "'-1'") + "}\n", f"{PLACE}:3:3: a.price is -1: a price cannot be negative"),
    ("  a: {" + ENTRY.replace("'1.24'", "dear") + "}\n", "a.price is 'dear', which is no number"),
    ("  a: {" + ENTRY.replace("'1.24'", "NaN") + "}\n", "a.price is 'NaN', which is no number"),
    ("  a: {" + ENTRY + "}\n  a: {" + ENTRY + "}\n", f"{PLACE}:4:3: a is here a second time; the first is at 3:3"),
    ("  a: {" + ENTRY.replace("RUB", "KZT") + "}\n", "a is in KZT, and inventories/shared/prices/rates.yml has no rate"),
    ("  a: {" + ENTRY.replace("2026-05-01", "May 2026") + "}\n", "date is 'May 2026'; write it as 2026-05-01"),
    ("  a: {" + ENTRY + ", per: '0'}\n", "a.per is 0: for how many units is the price?"),
    ("  a: {" + ENTRY + ", fre: '1'}\n", "nothing reads fre. Did you mean free?"),
    ("  a: 1.24\n", f"{PLACE}:3:6: an entry has to be a mapping"),
    ("  a: [\n", "this is no YAML"),
])  # fmt: skip
def test_a_mistake_is_said_with_its_place(lists, text, says):
    with pytest.raises(Refused) as refused:
        lists(text)
    assert says in str(refused.value) and refused.value.code == 2, refused.value


def test_two_lists_of_a_provider_must_not_both_have_a_price(lists):
    with pytest.raises(Refused, match=f"yandex_more.yml:3:3: a is here a second time; the first is at {PLACE}:3:3"):
        lists("  a: {" + ENTRY + "}\n", yandex_more="  a: {" + ENTRY + "}\n")


def test_a_rate_of_nothing_is_refused(lists):
    with pytest.raises(Refused, match="RUB.per_dollar is 0"):
        lists("  a: {" + ENTRY + "}\n", RATES.replace("'80'", "'0'"))


def test_an_unknown_price_gets_the_nearest(lists):
    with pytest.raises(Refused, match="machine m: .*yandex.yml has no price compute.cor. The nearest is compute.core"):
        lists("  compute.core: {" + ENTRY + "}\n").find("yandex", "compute.cor", "machine m")


def test_old_ones_are_named_oldest_first(lists):
    new = ENTRY.replace("2026-05-01", "2026-05-05")
    found = lists("  a: {" + ENTRY + "}\n  b: {" + new + "}\n")
    named = [getattr(one, "name", "rate") for one in prices.old(found, datetime.date(2026, 10, 29), 180)]
    assert named == ["rate", "a"]  # 194 and 181 days; b has 177


def test_what_is_committed_can_be_read():
    found = prices.load()
    assert {one.provider for one in found.prices.values()} == {"yandex", "aws"}
    assert all(one.source.startswith("https://") for one in found.prices.values())

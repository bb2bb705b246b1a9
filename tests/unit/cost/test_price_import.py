"""Prices as providers publish them, from small stored samples, end up in the lists, and nothing else is touched."""

from __future__ import annotations

import datetime
import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from stagecraft import declarations, stages
from stagecraft.cost import importers, prices, rewriting
from stagecraft.stages import Refused

REPOSITORY = stages.ROOT
SAMPLES = Path(__file__).parent / "samples"
TODAY = datetime.date(2026, 11, 23)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The committed lists in a checkout of their own."""
    for module in (stages, declarations):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    shutil.copytree(REPOSITORY / prices.FOLDER, tmp_path / prices.FOLDER)
    return tmp_path / prices.FOLDER


def taken(folder: Path, provider: str, text: str) -> tuple[list[str], int, list[str]]:
    entries = [one for one in prices.load().prices.values() if one.provider == provider]
    return rewriting.update(folder / f"{provider}.yml", entries, importers.PROVIDERS[provider](text, TODAY), TODAY)


def sample(provider: str) -> str:
    return (SAMPLES / {"yandex": "yandex_skus.json", "aws": "aws_offers.json"}[provider]).read_text()


def test_yandex_street_prices_of_today_are_taken(folder):
    before = prices.load()
    changed, unchanged, missing = taken(folder, "yandex", sample("yandex"))
    assert changed == [
        "compute.ice-lake.ram: 0.33 (free 0, 22 % VAT) -> 0.35 (free 0, 22 % VAT) RUB by the GB_hour",
        "vpc.nat_gateway: 0.395 (free 0, 22 % VAT) -> 0.39528 (free 0, 22 % VAT) RUB by the gateway_hour",
        "vpc.egress: 1.42 (free 100, 22 % VAT) -> 1.42 (free 50, 22 % VAT) RUB by the GB",
        f"postgresql.network-ssd: {Decimal('13.01') / 720:f} (free 0, 20 % VAT) -> 0.0213 (free 0, 22 % VAT) RUB"
        " by the GB_hour",
    ]
    assert unchanged == 2 and "compute.ice-lake.vcpu-20" in missing
    after = prices.load()
    processor = after.find("yandex", "compute.ice-lake.vcpu-100", "x")
    assert (processor.price, processor.date) == (Decimal("1.24"), TODAY)  # not the contract's, and not that of December
    assert after.find("yandex", "postgresql.network-ssd", "x").vat == 22  # it was of 2022, with 20
    calls = after.find("yandex", "serverless.calls", "x")
    assert (calls.price, calls.per, calls.free) == (Decimal("18.97"), 1000000, 1000000)
    for name in missing:
        assert after.find("yandex", name, "x") == before.find("yandex", name, "x")
    assert (folder / "yandex.yml").read_text().startswith("# Prices of Yandex Cloud")


@pytest.mark.parametrize(("day", "percent"), [("2025-12-31", 20), ("2026-01-01", 22)])
def test_the_tax_is_that_of_the_day(day, percent):
    entry = prices.load().find("yandex", "disk.snapshot", "x")
    assert importers.yandex_vat(entry, "RUB", datetime.date.fromisoformat(day)) == percent
    assert importers.yandex_vat(entry, "USD", datetime.date.fromisoformat(day)) == 0


def test_aws_products_are_found_by_their_attributes(folder):
    changed, unchanged, missing = taken(folder, "aws", sample("aws"))
    assert changed == ["ec2.c5.2xlarge: 0.34 (free 0, 0 % VAT) -> 0.357 (free 0, 0 % VAT) USD by the instance_hour"]
    assert unchanged == 2 and "ec2.p3.2xlarge" in missing
    assert prices.load().find("aws", "ec2.c5.2xlarge", "x").price == Decimal("0.357")


def test_a_free_amount_that_is_new_is_written(folder):
    answer = json.loads(sample("yandex"))
    rates = answer["skus"][1]["pricingVersions"][0]["pricingExpressions"][0]["rates"]
    rates.insert(0, {"startPricingQuantity": "0", "unitPrice": "0", "currency": "RUB"})
    rates[1]["startPricingQuantity"] = "7"
    taken(folder, "yandex", json.dumps(answer))
    assert prices.load().find("yandex", "compute.ice-lake.ram", "x").free == 7


@pytest.mark.parametrize(("provider", "old", "new", "says"), [
    ("yandex", '"core*hour"', '"furlong"', "is sold by 'furlong', which is not known here"),
    ("yandex", '"core*hour"', '"gbyte"', "compute.ice-lake.vcpu-100 is in RUB for a vCPU_hour, and the provider sells it"),
    ("yandex", '"currency": "RUB"', '"currency": "KZT"', "the provider sells it in KZT"),
    ("yandex", '"1.24"', '"0"', "costs nothing"),
    ("yandex", "STREET_PRICE", "CONTRACT_PRICE", "has no street price that holds on 2026-11-23"),
    ("yandex", '"skus"', '"rows"', "this has no SKUs"),
    ("yandex", '"nextPageToken": ""', '"nextPageToken": "more"', "Ask for the next one with pageToken=more"),
    ("aws", '"effectiveDate"', '"since"', "are not as the AWS Price List has them: 'effectiveDate'"),
    ("aws", '"pricePerUnit"', '"price"', "are not as the AWS Price List has them: 'pricePerUnit'"),
    ("yandex", "{", "", "this is no answer of Yandex Billing's SkuService.List"),
    ("aws", '"Windows"', '"Linux"', "2 products fit its `match` (7R3G4NSAGYTRS2YR, KWCGYXPWVZ5Z7Y3U)"),
    ("aws", '"OnDemand"', '"Spot"', "this is no offer file of the AWS Price List"),
    ("aws", '"Hrs"', '"Quantity"', "the provider sells it in USD for a Quantity"),
    ("aws", '"0.5260000000"', '"half"', "has 'half' where a number should be"),
])  # fmt: skip
def test_what_cannot_be_taken_over_is_refused_before_anything_is_written(folder, provider, old, new, says):
    before, text = (folder / f"{provider}.yml").read_text(), sample(provider)
    assert old in text
    with pytest.raises(Refused) as refused:
        taken(folder, provider, text.replace(old, new))
    assert says in str(refused.value) and refused.value.code == 2, refused.value
    assert (folder / f"{provider}.yml").read_text() == before

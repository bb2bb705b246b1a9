"""Prices as the providers publish them, for the entries of a list that name their product there."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from stagecraft.cost.prices import Price
from stagecraft.stages import Refused

COUNTED = re.compile(r"(?:(\d+)(k{0,2})\*)?(?:request|invocation|call)s?")  # 10k*requests, 1kk*invocations
THOUSANDS = {"": 1, "k": 1000, "kk": 1000000}
# Yandex Billing's pricing units, as this project's lists write them; an hour of something alone is any thing's hour.
YANDEX_UNITS = {
    "core*hour": "vCPU_hour",
    "gbyte*hour": "GB_hour",
    "gpu*hour": "GPU_hour",
    "gpus*hour": "GPU_hour",
    "gbyte": "GB",
}
AWS_UNITS = {"gb": "GB", "gb-mo": "GB_month"}
# The percentage of VAT that Yandex Cloud has in its prices, by currency, since when; those in dollars are without it.
YANDEX_VAT = {
    "RUB": {datetime.date(2026, 1, 1): 22, datetime.date(2019, 1, 1): 20},
    "USD": {datetime.date.min: 0},
}


@dataclass(frozen=True)
class Published:
    """A price as its provider publishes it, in a list's terms."""

    price: Decimal
    currency: str
    unit: str  # `hour` fits any unit that ends in it
    per: Decimal = Decimal(1)
    free: Decimal = Decimal(0)
    vat: Decimal = Decimal(0)

    def fits(self, unit: str) -> bool:
        return unit == self.unit or (self.unit == "hour" and unit.endswith("_hour"))


def yandex(text: str, today: datetime.date) -> Callable[[Price], Published | None]:
    """What finds an entry's price in the answer of Billing's SkuService.List, by the SKU's id or name.

    Raises Refused where the text is no such answer, or only a page of it."""
    from google.protobuf.json_format import Parse, ParseError
    from yandex.cloud.billing.v1.sku_service_pb2 import ListSkusResponse

    try:
        answer = Parse(text, ListSkusResponse(), ignore_unknown_fields=True)
    except ParseError as error:
        raise Refused(f"this is no answer of Yandex Billing's SkuService.List: {error}", 2) from None
    if not answer.skus:
        raise Refused("this has no SKUs: is it an answer of Yandex Billing's SkuService.List?", 2)
    if answer.next_page_token:
        raise Refused(
            f"this is only a page of the SKUs. Ask for the next one with pageToken={answer.next_page_token}, and so on, and"
            " put the `skus` of all pages into one file.",
            2,
        )
    skus = {key: sku for sku in answer.skus for key in (sku.id, sku.name)}

    def find(entry: Price) -> Published | None:
        return of_sku(entry, skus[entry.sku], today) if entry.sku and entry.sku in skus else None

    return find


def of_sku(entry: Price, sku: Any, today: datetime.date) -> Published:
    """The street price of a SKU that holds today. Raises Refused where it has none, or in a unit that is not known."""
    from yandex.cloud.billing.v1.sku_pb2 import STREET_PRICE

    versions = [
        (version.effective_time.ToDatetime(datetime.UTC).astimezone(MOSCOW).date(), version)
        for version in sku.pricing_versions
        if version.type == STREET_PRICE
    ]
    holding = [one for one in versions if one[0] <= today]
    if not holding:
        raise Refused(f"{entry.name}: the SKU {sku.id} has no street price that holds on {today}.", 2)
    version = max(holding, key=lambda one: one[0])[1]
    rates = [rate for expression in version.pricing_expressions for rate in expression.rates]
    paid = next((rate for rate in rates if decimal(entry, rate.unit_price)), None)
    if paid is None:
        raise Refused(f"{entry.name}: the SKU {sku.id} costs nothing; name its kind in FREE, or drop its price.", 2)
    if counted := COUNTED.fullmatch(sku.pricing_unit):
        unit, per = "request", Decimal(counted[1] or 1) * THOUSANDS[counted[2] or ""]
    elif sku.pricing_unit in YANDEX_UNITS:
        unit, per = YANDEX_UNITS[sku.pricing_unit], Decimal(1)
    elif sku.pricing_unit.endswith("hour"):
        unit, per = "hour", Decimal(1)
    else:
        raise Refused(f"{entry.name}: the SKU {sku.id} is sold by {sku.pricing_unit!r}, which is not known here.", 2)
    free = decimal(entry, paid.start_pricing_quantity or "0") * per
    vat = yandex_vat(entry, paid.currency, today)
    return Published(decimal(entry, paid.unit_price), paid.currency, unit, per, free, vat)


def yandex_vat(entry: Price, currency: str, today: datetime.date) -> Decimal:
    """The VAT in a price of today. Raises Refused for a currency whose VAT is not known here."""
    if currency not in YANDEX_VAT:
        known = ", ".join(YANDEX_VAT)
        raise Refused(
            f"{entry.name}: the provider sells it in {currency}; the VAT in that is not known here ({known}).", 2
        )
    return Decimal(next(rate for since, rate in YANDEX_VAT[currency].items() if since <= today))


MOSCOW = datetime.timezone(datetime.timedelta(hours=3))  # prices change at midnight there


def aws(text: str, today: datetime.date) -> Callable[[Price], Published | None]:
    """What finds an entry's price in an offer file of the AWS Price List, by the attributes in `match`.

    Raises Refused where the text is no such file, where several products fit, and where a product's terms are malformed."""
    try:
        offers = json.loads(text)
        products, terms = offers["products"], offers["terms"]["OnDemand"]
    except (ValueError, KeyError, TypeError):
        raise Refused(
            "this is no offer file of the AWS Price List: it has no products with terms.OnDemand.", 2
        ) from None

    def find(entry: Price) -> Published | None:
        fitting = [
            sku
            for sku, product in products.items()
            if entry.match and entry.match.items() <= product.get("attributes", {}).items()
        ]
        if len(fitting) > 1:
            raise Refused(f"{entry.name}: {len(fitting)} products fit its `match` ({', '.join(sorted(fitting))}).", 2)
        try:
            return next((one for sku in fitting for one in of_terms(entry, terms.get(sku, {}), today)), None)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Refused(
                f"{entry.name}: the terms of the product {fitting[0]} are not as the AWS Price List has them: {error}",
                2,
            ) from None

    return find


def of_terms(entry: Price, terms: dict[str, Any], today: datetime.date) -> Iterator[Published]:
    """The price on demand that a product has today, of its first tier that costs something."""
    for term in terms.values():
        since = datetime.date.fromisoformat(term["effectiveDate"][:10])
        tiers = sorted(term["priceDimensions"].values(), key=lambda one: decimal(entry, one.get("beginRange", "0")))
        for tier in tiers if since <= today else ():
            for currency, amount in tier["pricePerUnit"].items():
                if value := decimal(entry, amount):
                    unit = AWS_UNITS.get(
                        tier["unit"].lower(), "hour" if tier["unit"].lower().startswith("h") else tier["unit"]
                    )
                    free = decimal(entry, tier.get("beginRange", "0"))
                    yield Published(value, currency, unit, free=free)


def decimal(entry: Price, text: str) -> Decimal:
    try:
        return Decimal(text).normalize()  # AWS writes ten digits
    except InvalidOperation:
        raise Refused(f"{entry.name}: the provider's file has {text!r} where a number should be.", 2) from None


PROVIDERS = {"yandex": yandex, "aws": aws}

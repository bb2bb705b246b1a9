"""Names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..survey import PAGE
from ..yandex import Field, Ref, Resource, Yandex
from .yandex_api_gateway import GATEWAY
from .yandex_certificatemanager import CERTIFICATE, challenge
from .yandex_compute import INSTANCE
from .yandex_postgresql import CLUSTER, writable_host
from .yandex_vpc import NETWORK


class RecordSets(Yandex):
    """Record sets have no verbs of their own: their zone upserts them."""

    def find(self) -> dict | None:
        return self.look()

    def look(self, row: object = None) -> dict | None:
        self.raw = self.call("GetRecordSet", self.request("GetRecordSet"))
        return self.raw and self.have()

    # ---- for an export ----
    def everything(self) -> Iterator[Any]:
        return self.session.pages(self.service, "ListRecordSets", dns_zone_id=self.keys["dns_zone"], page_size=PAGE)

    def made_by_cloud(self, row: Any) -> bool:
        apex = self.call("Get", self.request("Get")).zone
        return row.type in ("SOA", "NS") and row.name == apex

    def adopt(self, row: Any) -> dict:
        self.raw, self.id = row, row.name
        return self.have()

    # ---- change ----
    def create(self, wanted: dict) -> None:
        there = self.have() if self.raw else {}
        data = {n: wanted.pop(n) for n in DATA if n in wanted}  # several options of one field: the one that is given
        values = {n: v for n, v in {**there, **wanted}.items() if n not in DATA}
        values["data"] = next(iter(data.values()), there.get("data"))
        self.upsert(replacements=[self.fill(self.message(), values)])

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        self.create(wanted)

    def delete(self) -> None:
        self.upsert(deletions=[self.raw])

    def upsert(self, **what: list) -> None:
        request = self.request("UpsertRecordSets")
        request.MergeFrom(type(request)(**what))
        self.call("UpsertRecordSets", request)
        self.look()


ZONE = Resource(
    "dns.v1.DnsZone",
    module="yc_dns_zone",
    fields=(
        Field("zone", required=True),
        Field("public", "Whether the whole internet sees it.", "public_visibility", on={}),
        Ref("networks", NETWORK, "Networks that see a private zone.", "private_visibility.network_id"),
    ),
    example="""
name: internal
zone: stage.internal.
networks: [main]
""",
)

DATA = ("data", "instances", "postgresql_cluster", "certificate", "api_gateway")

RECORD_SET = Resource(
    "dns.v1.RecordSet",
    module="yc_dns_record_set",
    backend=RecordSets,
    service="dns.v1.DnsZoneService",
    message="dns.v1.RecordSet",
    parent=Ref("dns_zone", ZONE, key=True),
    fields=(
        Field("name", key=True),
        Field("type", key=True),
        Field("ttl", unit="duration", default="5m"),
        Field("data"),
        Ref(
            "instances",
            INSTANCE,
            "Instances whose private addresses are the data.",
            "data",
            take="network_interfaces.0.primary_v4_address.address",
        ),
        Ref(
            "postgresql_cluster",
            CLUSTER,
            "Cluster whose host name for writing is the data.",
            "data",
            take=writable_host,
        ),
        Ref(
            "certificate",
            CERTIFICATE,
            "Certificate whose challenge by DNS the data answers: the record proves that the name is yours.",
            "data",
            take=challenge,
        ),
        Ref(
            "api_gateway",
            GATEWAY,
            "API gateway whose own name, which the cloud gave it, is the data.",
            "data",
            take=lambda session, gateway: gateway.domain + ".",
        ),
    ),
    example="""
dns_zone: internal
name: api.stage.internal.
type: A
ttl: 5m
instances: [api-1, api-2]
""",
)

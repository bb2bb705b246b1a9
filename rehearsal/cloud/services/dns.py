"""Cloud DNS: zones and the record sets in them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from google.protobuf.message import Message

from rehearsal.cloud import listing
from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.descriptors import new
from rehearsal.cloud.errors import invalid, not_found, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call

RECORD = "dns.v1.RecordSet"
NAME = re.compile(r"(\*\.)?([_a-zA-Z0-9]([-_a-zA-Z0-9]*[a-zA-Z0-9])?\.)+")
TYPES = ("A", "AAAA", "ANAME", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "SVCB", "HTTPS", "TXT")
Records = dict[tuple[str, str], Message]


class Zone(Bound, Kind):
    """A zone takes its record sets with it when it is deleted."""

    api = "dns.v1.DnsZone"
    prefix = "dns"
    transient = False
    networked = True  # the name servers of subnets have to follow

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        self._check_visible(resource)
        self._check_taken(call.cloud, resource)
        self.save(call.cloud, resource)
        soa = "ns.internal.yandexcloud.net. mx.cloud.yandex.net. 1 10800 900 604800 900"
        first = (("SOA", 3600, soa), ("NS", 3600, "ns.internal.yandexcloud.net."))
        records = {}
        for kind, ttl, data in first:
            record = new(RECORD)
            record.name, record.type, record.ttl = resource.zone, kind, ttl
            record.data.append(data)
            records[resource.zone, kind] = record
        self._keep(call.cloud, resource, records)

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        self._check_visible(resource)
        self._check_taken(call.cloud, resource)

    def _check_visible(self, zone: Message) -> None:
        """Somebody must see it; what everybody sees is no top-level domain."""
        if not zone.HasField("public_visibility") and not zone.HasField("private_visibility"):
            raise invalid("visibility: one of private_visibility, public_visibility is required")
        if zone.HasField("public_visibility") and len(zone.zone.rstrip(".").split(".")) < 2:
            raise invalid(f"zone: {zone.zone!r} is a top-level domain and cannot be a public zone")

    def _check_taken(self, cloud: Cloud, zone: Message) -> None:
        """Two private zones of one name cannot be in one network, two public ones nowhere."""
        mine = set(zone.private_visibility.network_ids)
        for other in cloud.all(self.api):
            if other.id == zone.id or other.zone != zone.zone:
                continue
            if mine & set(other.private_visibility.network_ids):
                raise refused(f"zone: {zone.zone} exists in the same network already ({other.name or other.id})")
            if zone.HasField("public_visibility") and other.HasField("public_visibility"):
                raise refused(f"zone: the public zone {zone.zone} exists already ({other.name or other.id})")

    def update_private_networks(self, call: Call, request: Message) -> Message:
        zone = self.find(call, request)
        before = type(zone).FromString(zone.SerializeToString())
        call.cloud.check_references(request)
        there = [n for n in zone.private_visibility.network_ids if n not in request.private_network_id_deletions]
        there += [n for n in request.private_network_id_additions if n not in there]
        del zone.private_visibility.network_ids[:]
        zone.private_visibility.network_ids.extend(there)
        zone.private_visibility.SetInParent()
        self._check_taken(call.cloud, zone)
        self.save(call.cloud, zone)
        return call.operation(self, zone, "update", before=before)

    # ---- record sets ----
    def records(self, cloud: Cloud, zone: Message) -> Records:
        """The record sets of a zone, by name and type."""
        rows = cloud.store.rows("api = ? AND scope = ?", RECORD, zone.id)
        return {(m.name, m.type): m for m in map(cloud.message, rows)}

    def _keep(self, cloud: Cloud, zone: Message, records: Records) -> None:
        """Make these the zone's record sets."""
        for row in cloud.store.rows("api = ? AND scope = ?", RECORD, zone.id):
            if tuple(row.id.split(" ")[1:]) not in records:
                cloud.store.drop(RECORD, row.id)
        for (name, kind), record in records.items():
            cloud.store.put(
                RECORD, f"{zone.id} {name} {kind}", zone.folder_id, zone.id, name, record.SerializeToString()
            )

    def get_record_set(self, call: Call, request: Message) -> Message:
        zone = self.find(call, request)
        found = self.records(call.cloud, zone).get((self._full(zone, request.name), request.type.upper()))
        if found is None:
            raise not_found("RecordSet", f"{request.name} {request.type}")
        return found

    def list_record_sets(self, call: Call, request: Message) -> Message:
        zone, answer = self.find(call, request), call.answer()
        keep = listing.parse(request.filter)
        found = [m for _, m in sorted(self.records(call.cloud, zone).items()) if keep(m)]
        sets, answer.next_page_token = listing.page(list(enumerate(found, 1)), request.page_size, request.page_token)
        answer.record_sets.extend(sets)
        return answer

    def _full(self, zone: Message, name: str) -> str:
        """Names that do not end in a dot are relative to the zone."""
        name = name.lower()
        if name == "@":
            return zone.zone
        return name if name.endswith(".") else f"{name}.{zone.zone}".replace("..", ".")

    def _checked(self, zone: Message, records: Iterable[Message]) -> Records:
        found: Records = {}
        for given in records:
            record = type(given).FromString(given.SerializeToString())
            record.name, record.type = self._full(zone, given.name), given.type.upper()
            if record.type not in TYPES:
                raise invalid(f"type: {given.type!r} is none of {', '.join(TYPES)}")
            inside = record.name == zone.zone or record.name.endswith("." + zone.zone) or zone.zone == "."
            if not inside or not NAME.fullmatch(record.name):
                raise invalid(f"name: {given.name!r} is no name in zone {zone.zone}")
            if not record.data:
                raise invalid(f"data: record set {record.name} {record.type} is empty")
            for value in record.data:
                _check_data(record, value)
            found[record.name, record.type] = record
        return found

    def update_record_sets(self, call: Call, request: Message) -> Message:
        """Strict: what is deleted must be there as it is said, what is added must not be there."""
        zone, cloud = self.find(call, request), call.cloud
        records = self.records(cloud, zone)
        before = dict(records)
        for key, record in self._checked(zone, request.deletions).items():
            if key not in records or set(records[key].data) != set(record.data):
                raise not_found("RecordSet", f"{record.name} {record.type} with this data")
            del records[key]
        for key, record in self._checked(zone, request.additions).items():
            if key in records:
                raise refused(f"RecordSet {record.name} {record.type} already exists")
            records[key] = record
        return self._change(call, zone, before, records)

    def upsert_record_sets(self, call: Call, request: Message) -> Message:
        """Lenient: deletions by name and type, replacements, and values merged into what is there."""
        zone = self.find(call, request)
        records = self.records(call.cloud, zone)
        before = dict(records)
        for given in request.deletions:
            records.pop((self._full(zone, given.name), given.type.upper()), None)
        records |= self._checked(zone, request.replacements)
        for key, record in self._checked(zone, request.merges).items():
            known = records.get(key)
            values = [*(known.data if known is not None else ()), *record.data]
            del record.data[:]
            record.data.extend(dict.fromkeys(values))
            records[key] = record
        return self._change(call, zone, before, records)

    def _change(self, call: Call, zone: Message, before: Records, records: Records) -> Message:
        """Keep the new record sets; the answer is the difference."""
        for key in ((zone.zone, "SOA"), (zone.zone, "NS")):
            if key in before and key not in records:
                raise refused(f"RecordSet {key[0]} {key[1]} belongs to the zone and cannot be deleted")
        names = {name for name, kind in records if kind == "CNAME"}
        for name, kind in records:
            if kind != "CNAME" and name in names:
                raise invalid(f"name: {name} has a CNAME record set, so it can have no {kind}")
        difference = new("dns.v1.RecordSetDiff")
        difference.deletions.extend(r for key, r in before.items() if records.get(key) != r)
        difference.additions.extend(r for key, r in records.items() if before.get(key) != r)
        self._keep(call.cloud, zone, records)
        kept = [record.SerializeToString().hex() for record in before.values()]
        return call.operation(self, zone, "update_records", answer=difference, records=kept)

    def undo(self, cloud: Cloud, job: Job) -> None:
        """Record sets as they were before an upsert that failed."""
        if job.verb == "update_records":
            zone, records = cloud.get(self.api, job.resource), {}
            for kept in job.note["records"]:
                record = new(RECORD)
                record.ParseFromString(bytes.fromhex(kept))
                records[record.name, record.type] = record
            with cloud.store.transaction():
                self._keep(cloud, zone, records)
        super().undo(cloud, job)

    def drop(self, cloud: Cloud, ident: str) -> None:
        for row in cloud.store.rows("api = ? AND scope = ?", RECORD, ident):
            cloud.store.drop(RECORD, row.id)
        cloud.store.drop(self.api, ident)


def _check_data(record: Message, value: str) -> None:
    """Addresses must be addresses. Raises INVALID_ARGUMENT."""
    if record.type in ("A", "AAAA"):
        try:
            version = ipaddress.ip_address(value).version
        except ValueError:
            version = 0
        if version != (4 if record.type == "A" else 6):
            raise invalid(f"data: {value!r} is no value of a record of type {record.type}")


SERVICES = (Zone,)

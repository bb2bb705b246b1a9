"""Security groups and their rules."""

from __future__ import annotations

from ipaddress import ip_network

from google.protobuf.message import Message

from rehearsal.cloud.descriptors import new
from rehearsal.cloud.errors import invalid, not_found, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.service import Call, new_id
from rehearsal.cloud.shapes import absorb, apply_mask, mentions

API = "vpc.v1.SecurityGroup"
PROTOCOLS = {"ANY": -1, "ICMP": 1, "TCP": 6, "UDP": 17, "GRE": 47, "ESP": 50, "AH": 51, "IPV6_ICMP": 58, "SCTP": 132}
PREDEFINED = ("self_security_group", "loadbalancer_healthchecks")
ANYWHERE = {"v4_cidr_blocks": ["0.0.0.0/0"]}
# What the real default group lets through.
DEFAULT = (
    {"direction": "INGRESS", "protocol_name": "ANY", "predefined_target": "self_security_group"},
    {
        "direction": "INGRESS",
        "protocol_name": "TCP",
        "ports": {"from_port": 22, "to_port": 22},
        "cidr_blocks": ANYWHERE,
    },
    {
        "direction": "INGRESS",
        "protocol_name": "TCP",
        "ports": {"from_port": 3389, "to_port": 3389},
        "cidr_blocks": ANYWHERE,
    },
    {"direction": "INGRESS", "protocol_name": "ICMP", "cidr_blocks": ANYWHERE},
    {"direction": "EGRESS", "protocol_name": "ANY", "cidr_blocks": ANYWHERE},
)


class SecurityGroup(Kind):
    api = API
    prefix = "enp"
    pattern = "|[a-zA-Z]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
    required = ("folder_id", "network_id")
    users = ("compute.v1.Instance", "mdb.postgresql.v1.Cluster", API)
    networked = True

    def holds(self, resource: Message, ident: str) -> bool:
        """A default group does not keep its network."""
        return not (resource.default_for_network and resource.network_id == ident) and mentions(resource, ident)

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        for rule in resource.rules:
            self.complete(call, resource, rule)

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        """New rule specs are new rules, with new ids."""
        for rule in resource.rules:
            if not rule.id:
                self.complete(call, resource, rule)

    def on_delete(self, call: Call, resource: Message) -> None:
        if resource.default_for_network:
            raise refused(f"SecurityGroup {resource.id} is the default group of its network and goes with it")

    def complete(self, call: Call, group: Message, rule: Message) -> None:
        """Check a rule, and fill in what the API fills in."""
        rule.id = new_id(self.prefix)
        if not rule.direction:
            raise invalid("rule_specs.direction: Field is required")
        if not rule.WhichOneof("target"):
            raise invalid("rule_specs.target: one of cidr_blocks, security_group_id, predefined_target is required")
        if rule.HasField("ports") and not 0 <= rule.ports.from_port <= rule.ports.to_port <= 65535:
            raise invalid(f"rule_specs.ports: {rule.ports.from_port}-{rule.ports.to_port} is no range of ports")
        self._protocol(rule)
        if rule.predefined_target and rule.predefined_target not in PREDEFINED:
            raise invalid(
                f"rule_specs.predefined_target: {rule.predefined_target!r} is none of {', '.join(PREDEFINED)}"
            )
        for block in [*rule.cidr_blocks.v4_cidr_blocks, *rule.cidr_blocks.v6_cidr_blocks]:
            try:
                ip_network(block)
            except ValueError as error:
                raise invalid(f"rule_specs.cidr_blocks: {error}") from None
        if rule.security_group_id:
            other = call.cloud.get(API, rule.security_group_id)
            if other is None:
                raise not_found("SecurityGroup", rule.security_group_id)
            if other.network_id != group.network_id:
                raise invalid(f"rule_specs.security_group_id: {other.name or other.id} belongs to another network")

    def _protocol(self, rule: Message) -> None:
        """Name and number say the same; none means any."""
        if rule.protocol_name:
            name = rule.protocol_name.upper()
            if name not in PROTOCOLS:
                raise invalid(f"rule_specs.protocol_name: {rule.protocol_name!r} is none of {', '.join(PROTOCOLS)}")
            rule.protocol_name, rule.protocol_number = name, PROTOCOLS[name]
            return
        number = rule.protocol_number or -1
        rule.protocol_number = number
        rule.protocol_name = next((name for name, known in PROTOCOLS.items() if known == number), "")

    def update_rules(self, call: Call, request: Message) -> Message:
        group = self.find(call, request)
        before = type(group).FromString(group.SerializeToString())
        self.check_idle(call, group)
        call.cloud.check_references(request)
        known = {rule.id for rule in group.rules}
        for ident in request.deletion_rule_ids:
            if ident not in known:
                raise not_found("SecurityGroupRule", ident)
        kept = [rule for rule in group.rules if rule.id not in request.deletion_rule_ids]
        added = []
        for spec in request.addition_rule_specs:
            rule = new("vpc.v1.SecurityGroupRule")
            absorb(rule, spec)
            self.complete(call, group, rule)
            added.append(rule)
        del group.rules[:]
        group.rules.extend([*kept, *added])
        self.set_status(group, "UPDATING")
        self.save(call.cloud, group)
        return call.operation(self, group, "update", before=before)

    def update_rule(self, call: Call, request: Message) -> Message:
        """Description and labels of one rule."""
        group = self.find(call, request)
        before = type(group).FromString(group.SerializeToString())
        rule = next((rule for rule in group.rules if rule.id == request.rule_id), None)
        if rule is None:
            raise not_found("SecurityGroupRule", request.rule_id)
        for path in request.update_mask.paths or ("description", "labels"):
            apply_mask(rule, request, path)
        self.save(call.cloud, group)
        return call.operation(self, group, "update", before=before, answer=rule)


def default_of(call: Call, network: Message) -> Message:
    """The default security group of a new network."""
    group = new(API)
    group.id, group.folder_id, group.network_id = new_id("enp"), network.folder_id, network.id
    group.name, group.default_for_network = f"default-sg-{network.id}", True
    group.description, group.status = "Default security group for network", group.ACTIVE
    group.created_at.GetCurrentTime()
    kind = call.cloud.kind(API)
    for rule in DEFAULT:
        kind.complete(call, group, group.rules.add(**rule))
    kind.save(call.cloud, group)
    return group

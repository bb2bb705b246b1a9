"""The hosts of a PostgreSQL cluster: added, removed, and which of them leads. Mixed into the cluster's kind."""

from __future__ import annotations

import secrets

from google.protobuf.message import Message

from rehearsal.cloud import addresses
from rehearsal.cloud.core import ZONES, Cloud
from rehearsal.cloud.descriptors import new
from rehearsal.cloud.errors import invalid, not_found, refused
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import LETTERS, Call
from rehearsal.cloud.services import postgresql_content as content
from rehearsal.cloud.services.postgresql_content import HOST


class Hosts:
    """Each host has a name and a private address; one is the master."""

    def add_host(self, call: Call, cluster: Message, spec: Message, role: str) -> Message:
        if spec.zone_id not in ZONES:
            raise invalid(f"host_specs.zone_id: Zone {spec.zone_id!r} not found; there are {', '.join(ZONES)}")
        subnet = self._subnet(call.cloud, cluster, spec)
        host = new(HOST)
        part = "".join(secrets.choice(LETTERS) for _ in range(16))
        host.name = f"rc1{spec.zone_id[-1]}-{part}.mdb.yandexcloud.net"
        host.cluster_id, host.zone_id, host.subnet_id = cluster.id, spec.zone_id, subnet.id
        host.role, host.health, host.assign_public_ip = role, host.ALIVE, spec.assign_public_ip
        host.resources.CopyFrom(cluster.config.resources)
        for service in ("POSTGRESQL", "POOLER"):
            host.services.add(type=service, health="ALIVE")
        address = addresses.private(call.cloud, subnet.id)
        kind = call.cloud.kind(HOST)
        kind.save(call.cloud, host)
        call.cloud.facts(HOST, host.name)["address"] = address
        return host

    def _subnet(self, cloud: Cloud, cluster: Message, spec: Message) -> Message:
        """The subnet that is named, or the only one of the network in the zone."""
        inside = [
            s for s in cloud.all("vpc.v1.Subnet") if s.network_id == cluster.network_id and s.zone_id == spec.zone_id
        ]
        fitting = [s for s in inside if s.id == spec.subnet_id] if spec.subnet_id else inside
        if len(fitting) != 1:
            raise invalid(
                f"host_specs: subnet_id {spec.subnet_id!r} is no subnet of the cluster's network in {spec.zone_id}"
                if spec.subnet_id
                else f"host_specs: {len(inside)} subnets of the cluster's network are in {spec.zone_id}: subnet_id is needed"
            )
        return fitting[0]

    # ---- calls ----
    def add_hosts(self, call: Call, request: Message) -> Message:
        cluster = self.find(call, request)
        self.check_idle(call, cluster)
        call.cloud.check_references(request)
        names = [self.add_host(call, cluster, spec, "REPLICA").name for spec in request.host_specs]
        return call.operation(self, cluster, "add_hosts", before=cluster, hosts=names)

    def delete_hosts(self, call: Call, request: Message) -> Message:
        cluster = self.find(call, request)
        self.check_idle(call, cluster)
        known = {host.name: host for host in content.of_cluster(call.cloud, HOST, cluster.id)}
        for name in request.host_names:
            if name not in known:
                raise not_found("Host", name)
            if known[name].role == known[name].MASTER:
                raise refused(f"Host {name} is the master and cannot be deleted")
        return call.operation(self, cluster, "delete_hosts", before=cluster, hosts=list(request.host_names))

    def update_hosts(self, call: Call, request: Message) -> Message:
        """Whether hosts have a public address; there is no more to change of one here."""
        cluster = self.find(call, request)
        self.check_idle(call, cluster)
        known = {host.name: host for host in content.of_cluster(call.cloud, HOST, cluster.id)}
        for spec in request.update_host_specs:
            if spec.host_name not in known:
                raise not_found("Host", spec.host_name)
            if set(spec.update_mask.paths) - {"assign_public_ip"}:
                raise invalid(
                    f"update_mask: {', '.join(spec.update_mask.paths)}: only assign_public_ip can change here"
                )
            known[spec.host_name].assign_public_ip = spec.assign_public_ip
            call.cloud.kind(HOST).save(call.cloud, known[spec.host_name])
        return call.operation(self, cluster, "update", before=cluster)

    def start_failover(self, call: Call, request: Message) -> Message:
        """Another host leads: the named one, or the first replica."""
        cluster = self.find(call, request)
        self.check_idle(call, cluster)
        hosts = content.of_cluster(call.cloud, HOST, cluster.id)
        replicas = [host for host in hosts if host.role == host.REPLICA]
        chosen = [host for host in replicas if request.host_name in ("", host.name)]
        if not chosen:
            why = f"{request.host_name} is no replica of it" if request.host_name else "it has no replica"
            raise refused(f"Cluster {cluster.id} cannot fail over: {why}")
        return call.operation(self, cluster, "failover", before=cluster, leader=chosen[0].name)

    # ---- the World ----
    def work_add_hosts(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        self.work_update(cloud, cluster, job)

    def work_delete_hosts(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        with cloud.store.transaction():
            for name in job.note["hosts"]:
                cloud.store.drop(HOST, name)
        self.work_update(cloud, cluster, job)

    def work_failover(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        """The World first: what it cannot do has not happened."""
        hosts = content.of_cluster(cloud, HOST, cluster.id)
        cloud.world.lead(cloud, cluster, next(host for host in hosts if host.name == job.note["leader"]))
        with cloud.store.transaction():
            for host in hosts:
                host.role = host.MASTER if host.name == job.note["leader"] else host.REPLICA
                cloud.kind(HOST).save(cloud, host)
        self.work_update(cloud, cluster, job)

    def undo(self, cloud: Cloud, job: Job) -> None:
        """Hosts that could not be added are taken away."""
        if job.verb == "add_hosts":
            with cloud.store.transaction():
                for name in job.note["hosts"]:
                    cloud.store.drop(HOST, name)
        super().undo(cloud, job)

"""What is in a PostgreSQL cluster: databases, users and their permissions, hosts."""

from __future__ import annotations

from google.protobuf.message import Message

from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import invalid, not_found, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call

CLUSTER, HOST = "mdb.postgresql.v1.Cluster", "mdb.postgresql.v1.Host"
DATABASE, USER = "mdb.postgresql.v1.Database", "mdb.postgresql.v1.User"
# The product's own roles, for users to be members of, and what PostgreSQL's role behind each is.
PRODUCT_ROLES = {"mdb_admin": "pg_signal_backend", "mdb_monitor": "pg_monitor", "mdb_replication": None}
CONNECTIONS = 50  # that a user may have where it is not said


def of_cluster(cloud: Cloud, api: str, cluster: str) -> list[Message]:
    """The databases, users or hosts of a cluster."""
    return [cloud.message(row) for row in cloud.store.rows("api = ? AND scope = ?", api, cluster)]


class InCluster(Kind):
    """What belongs to a cluster: one operation at a time in all of it, and no update that changes nothing."""

    prefix = "c9q"
    parent = CLUSTER
    named = True
    transient = False

    def cluster_id(self, resource: Message) -> str:
        return resource.cluster_id

    def turn(self, job: Job) -> str:
        return job.resource.split("/")[0]

    def check_idle(self, call: Call, resource: Message) -> None:
        pending = call.cloud.operations.pending(self.cluster_id(resource))
        if pending:
            raise refused(f"Conflicting operation {pending} detected")

    def create(self, call: Call, request: Message) -> Message:
        if self.parent:
            cluster = call.cloud.get(CLUSTER, request.cluster_id)
            if cluster is None:
                raise not_found("Cluster", request.cluster_id)
            pending = call.cloud.operations.pending(cluster.id)
            if pending:
                raise refused(f"Conflicting operation {pending} detected")
        return super().create(call, request)

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        if resource == before and not self.hidden_change(request):
            raise refused("no changes detected")

    def hidden_change(self, request: Message) -> bool:
        """Whether an update changes something that the resource does not show."""
        return False

    def cluster(self, cloud: Cloud, resource: Message) -> Message:
        return cloud.get(CLUSTER, resource.cluster_id)


class Host(InCluster):
    """Hosts have no service of their own; their cluster's lists them. They are kept under their names."""

    api = HOST

    def __init__(self) -> None:
        self.name, self.title, self.noun, self.parent_field = "", "Host", "host", "cluster_id"

    def key(self, resource: Message) -> str:
        return resource.name


class Database(InCluster):
    api = DATABASE

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        self._check_owner(call.cloud, resource)
        resource.lc_collate, resource.lc_ctype = resource.lc_collate or "C", resource.lc_ctype or "C"

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        self._check_owner(call.cloud, resource)
        if request.new_database_name:
            raise invalid("new_database_name: the emulated cloud does not rename databases")
        super().on_update(call, resource, before, request)

    def _check_owner(self, cloud: Cloud, database: Message) -> None:
        if cloud.get(USER, f"{database.cluster_id}/{database.owner}") is None:
            raise not_found("User", database.owner)

    def work_create(self, cloud: Cloud, database: Message, job: Job) -> None:
        cloud.world.put_database(cloud, self.cluster(cloud, database), database)

    work_update = work_create

    def work_delete(self, cloud: Cloud, database: Message, job: Job) -> None:
        cloud.world.delete_database(cloud, self.cluster(cloud, database), database)

    def drop(self, cloud: Cloud, ident: str) -> None:
        """The users' permissions on a database go with it."""
        super().drop(cloud, ident)
        cluster, _, name = ident.partition("/")
        for user in of_cluster(cloud, USER, cluster):
            kept = [p for p in user.permissions if p.database_name != name]
            if len(kept) != len(user.permissions):
                del user.permissions[:]
                user.permissions.extend(kept)
                cloud.kind(USER).save(cloud, user)


class User(InCluster):
    api = USER

    def create(self, call: Call, request: Message) -> Message:
        answer = super().create(call, request)
        _keep_password(call.cloud, f"{request.cluster_id}/{request.user_spec.name}", request.user_spec.password)
        return answer

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        resource.conn_limit = resource.conn_limit or CONNECTIONS
        if not resource.HasField("login"):
            resource.login.value = True
        self._check(call.cloud, resource, {spec.name for spec in getattr(call.request, "database_specs", ())})

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        self._check(call.cloud, resource, set())
        super().on_update(call, resource, before, request)
        if self.hidden_change(request):
            _keep_password(call.cloud, self.key(resource), request.password)

    def _check(self, cloud: Cloud, user: Message, coming: set[str]) -> None:
        """Permissions name databases of the cluster, grants its users. `coming` are made by the same request."""
        for permission in user.permissions:
            name = permission.database_name
            if name not in coming and cloud.get(DATABASE, f"{user.cluster_id}/{name}") is None:
                raise not_found("Database", name)
        for role in user.grants:
            if role == user.name:
                raise invalid(f"grants: user {user.name} cannot be granted to itself")
            if role not in PRODUCT_ROLES and cloud.get(USER, f"{user.cluster_id}/{role}") is None:
                raise not_found("User", role)

    def hidden_change(self, request: Message) -> bool:
        return bool(getattr(request, "password", "")) and (
            not request.update_mask.paths or "password" in request.update_mask.paths
        )

    def on_delete(self, call: Call, resource: Message) -> None:
        for database in of_cluster(call.cloud, DATABASE, resource.cluster_id):
            if database.owner == resource.name:
                raise refused(f"User {resource.name} owns database {database.name}")

    def grant_permission(self, call: Call, request: Message) -> Message:
        return self._permit(call, request, request.permission.database_name, grant=True)

    def revoke_permission(self, call: Call, request: Message) -> Message:
        return self._permit(call, request, request.database_name, grant=False)

    def _permit(self, call: Call, request: Message, database: str, *, grant: bool) -> Message:
        user = self.find(call, request)
        before = type(user).FromString(user.SerializeToString())
        self.check_idle(call, user)
        there = [p.database_name for p in user.permissions]
        if grant and database in there:
            raise refused(f"User {user.name} has the permission on database {database}")
        if not grant and database not in there:
            raise not_found("Permission", database)
        if grant:
            user.permissions.add(database_name=database)
            self._check(call.cloud, user, set())
        else:
            del user.permissions[there.index(database)]
        self.save(call.cloud, user)
        return call.operation(self, user, "update", before=before)

    def work_create(self, cloud: Cloud, user: Message, job: Job) -> None:
        put_user(cloud, self.cluster(cloud, user), user)

    work_update = work_create

    def work_delete(self, cloud: Cloud, user: Message, job: Job) -> None:
        cloud.world.delete_user(cloud, self.cluster(cloud, user), user)


def _keep_password(cloud: Cloud, key: str, password: str) -> None:
    cloud.store.put_secret(USER, key, password.encode())


def make_user(call: Call, cluster: str, spec: Message) -> Message:
    """A user that comes with its cluster."""
    user = call.cloud.kind(USER).make(call, spec, cluster_id=cluster)
    _keep_password(call.cloud, f"{cluster}/{spec.name}", spec.password)
    return user


def put_user(cloud: Cloud, cluster: Message, user: Message) -> None:
    """Hand a user to the World with the password that it should have."""
    kept = cloud.secret(USER, f"{user.cluster_id}/{user.name}")
    cloud.world.put_user(cloud, cluster, user, kept.decode() if kept else None)

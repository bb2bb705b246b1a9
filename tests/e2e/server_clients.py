"""The managed services of one rehearsal, made through the cloud's API, and their own clients' ways to them."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import psycopg
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from sdk_calls import Caller
from small_vpc import GB, SmallVpc

from rehearsal import environment, lifecycle, places, wheelhouse
from rehearsal.world import shell

NAME = "e2eservers"
PLACE = places.Place(NAME)
SMALL = {
    "version": "15",
    "resources": {"resource_preset_id": "s3-c2-m8", "disk_type_id": "network-ssd", "disk_size": 10 * GB},
}  # what a cluster is, at the least
PASSWORD, OTHER = "a-password-of-the-test-Ä", "another-password-of-the-test"
POSTGRESQL, STORAGE, KEYS = "mdb.postgresql.v1", "storage.v1.BucketService", "iam.v1.awscompatibility.AccessKeyService"


@contextmanager
def rehearsed(place: places.Place, folder: Path) -> Iterator[SmallVpc]:
    """A rehearsal of its own with a network and one machine; whatever happens, nothing of it stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGECRAFT_STATE", str(folder / "state"))
        lifecycle.down(place)
        wheelhouse.fill(wheelhouse.locks(lifecycle.ROOT))
        rehearsal("up", place.name)
        try:
            variables, netns = environment.environment(place.name), environment.netns(place.name)
            with Caller(netns, variables) as cloud:
                made = SmallVpc(cloud, netns, folder)
                made.build_network()
                made.build_machine("bastion", "front", made.group_bastion, public=True)
                made.write_ssh_config()
                yield made
        finally:
            lifecycle.down(place)
            assert not lifecycle.leftovers(place)


def rehearsal(*words: str) -> None:
    command = [sys.executable, "-m", "rehearsal", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=lifecycle.ROOT, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Server:
    """One host of a cluster with the user app and the database shop: the first, or the one that is named."""

    def __init__(self, vpc: SmallVpc, place: places.Place, cluster: str, host: str = "") -> None:
        self.vpc, self.place, self.id = vpc, place, cluster
        hosts = vpc.cloud(f"{POSTGRESQL}.ClusterService.ListHosts", cluster_id=cluster)["hosts"]
        self.host = host or hosts[0]["name"]
        self.address = vpc.ssh("bastion", f"getent hosts {self.host}").stdout.split()[0]

    def ask(self, query: str, user: str = "app", password: str = PASSWORD, **more: str) -> list[tuple]:
        """One statement from inside the network, in a connection of its own, the host's certificate checked."""
        given = {"dbname": "shop", "sslmode": "verify-full", "host": self.host, **more}
        given["sslrootcert"] = str(self.place.cloud / "ca.pem")
        with (
            shell.entered(self.place.netns(f"vpc-{self.vpc.network}")),
            psycopg.connect(
                **given,
                hostaddr=self.address,
                port=6432,
                user=user,
                password=password,
                connect_timeout=3,
                autocommit=True,
            ) as connection,
        ):
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def refused(self, query: str = "SELECT 1", **how: str) -> str:
        with pytest.raises(psycopg.Error) as error:
            self.ask(query, **how)
        return str(error.value)

    def container(self) -> str:
        return self.place.container(self.host.partition(".")[0])


class Database(Server):
    """A cluster `pg` with the users app and guest, the databases shop and other, and the way to it."""

    def __init__(self, vpc: SmallVpc, place: places.Place = PLACE) -> None:
        rule = vpc.rule(1, "TCP", 6432, cidr_blocks={"v4_cidr_blocks": ["10.10.0.0/16"]})
        self.group = vpc.cloud.create(
            "vpc.v1.SecurityGroupService", name="pg", network_id=vpc.network, rule_specs=[rule]
        )["id"]
        cluster = vpc.cloud.create(
            f"{POSTGRESQL}.ClusterService",
            name="pg",
            environment="PRODUCTION",
            network_id=vpc.network,
            security_group_ids=[self.group],
            host_specs=[{"zone_id": "ru-central1-b", "subnet_id": vpc.subnets["back"]}],
            config_spec={
                **SMALL,
                "postgresql_config_15": {"max_connections": {"value": 57}, "work_mem": {"value": 8 << 20}},
            },
            user_specs=[
                {"name": "app", "password": PASSWORD, "permissions": [{"database_name": "shop"}]},
                {"name": "guest", "password": OTHER, "permissions": [{"database_name": "other"}]},
            ],
            database_specs=[
                {"name": "shop", "owner": "app", "extensions": [{"name": "pg_trgm"}]},
                {"name": "other", "owner": "guest"},
            ],
        )
        super().__init__(vpc, place, cluster["id"])


class Bucket:
    """The bucket `models` with versions, a service account that may change objects, and its key."""

    def __init__(self, vpc: SmallVpc) -> None:
        self.vpc = vpc
        self.account = vpc.cloud.create("iam.v1.ServiceAccountService", name="models")["id"]
        self.bind("ADD")
        rule = {"id": {"value": "old"}, "enabled": True, "noncurrent_expiration": {"noncurrent_days": {"value": 30}}}
        vpc.cloud.create(STORAGE, name="models")
        vpc.cloud(
            f"{STORAGE}.Update",
            name="models",
            versioning="VERSIONING_ENABLED",
            lifecycle_rules=[rule],
            update_mask={"paths": ["versioning", "lifecycle_rules"]},
        )
        self.key = self.new_key()

    def bind(self, action: str) -> None:
        subject = {"id": self.account, "type": "serviceAccount"}
        delta = {"action": action, "access_binding": {"role_id": "storage.editor", "subject": subject}}
        change = {"resource_id": self.vpc.cloud.folder, "access_binding_deltas": [delta]}
        self.vpc.cloud("resourcemanager.v1.FolderService.UpdateAccessBindings", **change)

    def new_key(self) -> tuple[str, str, str]:
        made = self.vpc.cloud(f"{KEYS}.Create", service_account_id=self.account)
        return made["access_key"]["key_id"], made["secret"], made["access_key"]["id"]

    def call(self, operation: str, /, key: tuple[str, ...] = (), **arguments: object) -> dict:
        """One S3 call with a key (the bucket's own by default), from the rehearsal's internet."""
        key_id, secret, *_ = key or self.key
        with shell.entered(PLACE.netns("internet")):
            client = boto3.session.Session().client(
                "s3",
                endpoint_url=environment.environment(NAME)["YC_STORAGE_ENDPOINT"],
                verify=environment.environment(NAME)["AWS_CA_BUNDLE"],
                region_name="ru-central1",
                aws_access_key_id=key_id,
                aws_secret_access_key=secret,
                config=Config(retries={"max_attempts": 1}, connect_timeout=3, s3={"addressing_style": "path"}),
            )
            return getattr(client, operation)(**{"Bucket": "models", **arguments})

    def refused(self, operation: str, /, **arguments: object) -> str:
        with pytest.raises(ClientError) as error:
            self.call(operation, **arguments)
        return error.value.response["Error"]["Code"]

    def may(self, operation: str, /, **arguments: object) -> bool:
        """Whether a call is allowed; any other error stays one."""
        try:
            return bool(self.call(operation, **arguments))
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
            return False

    def read(self, key: str) -> bytes | None:
        """An object; None while a server that has just started does not know its volumes."""
        try:
            return self.call("get_object", Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "InternalError":
                raise
            return None

    def anonymous(self) -> int:
        """The HTTP status of an object's address, asked without a key."""
        where = f"https://{places.STORAGE}/models/digits/1/model.onnx"
        ca = environment.environment(NAME)["AWS_CA_BUNDLE"]
        asked = self.vpc.outside("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", ca, where)
        return int(asked.stdout)


def visitor_reaches(address: str, port: int) -> bool:
    """Whether somebody in the rehearsal's internet opens a TCP connection."""
    with shell.entered(PLACE.netns("internet")):
        try:
            socket.create_connection((address, port), timeout=2).close()
        except OSError:
            return False
        return True


def http_status(target: tuple[str, int]) -> int:
    """The HTTP status of the proxy's own front page: 406 is apt-cacher-ng's answer to a request for no package."""
    try:
        with urllib.request.urlopen(f"http://{target[0]}:{target[1]}/", timeout=3) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0

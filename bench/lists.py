"""The reference of [stack-200] and [export-1000]: a client of the SDK that lists all kinds and looks at nothing."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yandexcloud
from yandex.cloud.access import access_pb2
from yandex.cloud.compute.v1 import (
    disk_service_pb2,
    disk_service_pb2_grpc,
    instance_service_pb2,
    instance_service_pb2_grpc,
    snapshot_schedule_service_pb2,
    snapshot_schedule_service_pb2_grpc,
    snapshot_service_pb2,
    snapshot_service_pb2_grpc,
)
from yandex.cloud.dns.v1 import dns_zone_service_pb2, dns_zone_service_pb2_grpc
from yandex.cloud.iam.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    key_service_pb2,
    key_service_pb2_grpc,
    service_account_service_pb2,
    service_account_service_pb2_grpc,
)
from yandex.cloud.iam.v1.awscompatibility import access_key_service_pb2, access_key_service_pb2_grpc
from yandex.cloud.kms.v1 import symmetric_key_service_pb2, symmetric_key_service_pb2_grpc
from yandex.cloud.lockbox.v1 import secret_service_pb2, secret_service_pb2_grpc
from yandex.cloud.mdb.postgresql.v1 import (
    cluster_service_pb2,
    cluster_service_pb2_grpc,
    database_service_pb2,
    database_service_pb2_grpc,
    user_service_pb2,
    user_service_pb2_grpc,
)
from yandex.cloud.resourcemanager.v1 import folder_service_pb2_grpc
from yandex.cloud.storage.v1 import bucket_service_pb2, bucket_service_pb2_grpc
from yandex.cloud.vpc.v1 import (
    address_service_pb2,
    address_service_pb2_grpc,
    gateway_service_pb2,
    gateway_service_pb2_grpc,
    network_service_pb2,
    network_service_pb2_grpc,
    route_table_service_pb2,
    route_table_service_pb2_grpc,
    security_group_service_pb2,
    security_group_service_pb2_grpc,
    subnet_service_pb2,
    subnet_service_pb2_grpc,
)

FOLDER = os.environ["YC_FOLDER_ID"]
KINDS = (
    (network_service_pb2_grpc.NetworkServiceStub, network_service_pb2.ListNetworksRequest),
    (subnet_service_pb2_grpc.SubnetServiceStub, subnet_service_pb2.ListSubnetsRequest),
    (gateway_service_pb2_grpc.GatewayServiceStub, gateway_service_pb2.ListGatewaysRequest),
    (route_table_service_pb2_grpc.RouteTableServiceStub, route_table_service_pb2.ListRouteTablesRequest),
    (security_group_service_pb2_grpc.SecurityGroupServiceStub, security_group_service_pb2.ListSecurityGroupsRequest),
    (address_service_pb2_grpc.AddressServiceStub, address_service_pb2.ListAddressesRequest),
    (secret_service_pb2_grpc.SecretServiceStub, secret_service_pb2.ListSecretsRequest),
    (bucket_service_pb2_grpc.BucketServiceStub, bucket_service_pb2.ListBucketsRequest),
    (instance_service_pb2_grpc.InstanceServiceStub, instance_service_pb2.ListInstancesRequest),
    (disk_service_pb2_grpc.DiskServiceStub, disk_service_pb2.ListDisksRequest),
    (snapshot_service_pb2_grpc.SnapshotServiceStub, snapshot_service_pb2.ListSnapshotsRequest),
    (
        snapshot_schedule_service_pb2_grpc.SnapshotScheduleServiceStub,
        snapshot_schedule_service_pb2.ListSnapshotSchedulesRequest,
    ),
    (symmetric_key_service_pb2_grpc.SymmetricKeyServiceStub, symmetric_key_service_pb2.ListSymmetricKeysRequest),
    (
        service_account_service_pb2_grpc.ServiceAccountServiceStub,
        service_account_service_pb2.ListServiceAccountsRequest,
    ),
    (dns_zone_service_pb2_grpc.DnsZoneServiceStub, dns_zone_service_pb2.ListDnsZonesRequest),
    (cluster_service_pb2_grpc.ClusterServiceStub, cluster_service_pb2.ListClustersRequest),
)
OF_ACCOUNTS = (
    (access_key_service_pb2_grpc.AccessKeyServiceStub, access_key_service_pb2.ListAccessKeysRequest),
    (api_key_service_pb2_grpc.ApiKeyServiceStub, api_key_service_pb2.ListApiKeysRequest),
    (key_service_pb2_grpc.KeyServiceStub, key_service_pb2.ListKeysRequest),
)


def pages(stub: object, request: object, method: str = "List") -> list:
    """Every item of a list, over its pages."""
    found = []
    while True:
        answer = getattr(stub, method)(request)
        found += next(value for field, value in answer.ListFields() if field.is_repeated) if answer.ListFields() else []
        if not getattr(answer, "next_page_token", ""):
            return found
        request.page_token = answer.next_page_token


def main() -> None:
    """List everything, independent kinds side by side."""
    certificates = Path(os.environ["YC_ROOT_CERTIFICATES"]).read_bytes()
    key = json.loads(Path(os.environ["YC_SERVICE_ACCOUNT_KEY_FILE"]).read_text())
    sdk = yandexcloud.SDK(endpoint=os.environ["YC_ENDPOINT"], root_certificates=certificates, service_account_key=key)
    with ThreadPoolExecutor(16) as pool:
        stubs = [(sdk.client(stub), request(folder_id=FOLDER)) for stub, request in KINDS]
        listed = list(pool.map(lambda one: pages(*one), stubs))
        accounts, zones, clusters = listed[-3:]
        more = [
            (stubs[-2][0], dns_zone_service_pb2.ListDnsZoneRecordSetsRequest(dns_zone_id=zone.id), "ListRecordSets")
            for zone in zones
        ]
        folders = sdk.client(folder_service_pb2_grpc.FolderServiceStub)
        more.append((folders, access_pb2.ListAccessBindingsRequest(resource_id=FOLDER), "ListAccessBindings"))
        keys = [(sdk.client(stub), request) for stub, request in OF_ACCOUNTS]
        more += [(stub, request(service_account_id=account.id)) for account in accounts for stub, request in keys]
        users, databases = (
            sdk.client(stub)
            for stub in (user_service_pb2_grpc.UserServiceStub, database_service_pb2_grpc.DatabaseServiceStub)
        )
        for cluster in clusters:
            more.append((users, user_service_pb2.ListUsersRequest(cluster_id=cluster.id)))
            more.append((databases, database_service_pb2.ListDatabasesRequest(cluster_id=cluster.id)))
        listed += pool.map(lambda one: pages(*one), more)
    print(sum(map(len, listed)))


if __name__ == "__main__":
    main()

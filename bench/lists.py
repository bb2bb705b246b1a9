"""The reference of [stack-200]: a client of the SDK that lists every kind in the folder and looks at nothing."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yandexcloud
from yandex.cloud.compute.v1 import (
    disk_service_pb2,
    disk_service_pb2_grpc,
    instance_service_pb2,
    instance_service_pb2_grpc,
)
from yandex.cloud.dns.v1 import dns_zone_service_pb2, dns_zone_service_pb2_grpc
from yandex.cloud.iam.v1 import service_account_service_pb2, service_account_service_pb2_grpc
from yandex.cloud.lockbox.v1 import secret_service_pb2, secret_service_pb2_grpc
from yandex.cloud.mdb.postgresql.v1 import (
    cluster_service_pb2,
    cluster_service_pb2_grpc,
    database_service_pb2,
    database_service_pb2_grpc,
    user_service_pb2,
    user_service_pb2_grpc,
)
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
    (
        service_account_service_pb2_grpc.ServiceAccountServiceStub,
        service_account_service_pb2.ListServiceAccountsRequest,
    ),
    (secret_service_pb2_grpc.SecretServiceStub, secret_service_pb2.ListSecretsRequest),
    (bucket_service_pb2_grpc.BucketServiceStub, bucket_service_pb2.ListBucketsRequest),
    (instance_service_pb2_grpc.InstanceServiceStub, instance_service_pb2.ListInstancesRequest),
    (disk_service_pb2_grpc.DiskServiceStub, disk_service_pb2.ListDisksRequest),
    (dns_zone_service_pb2_grpc.DnsZoneServiceStub, dns_zone_service_pb2.ListDnsZonesRequest),
    (cluster_service_pb2_grpc.ClusterServiceStub, cluster_service_pb2.ListClustersRequest),
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
        zones, clusters = listed[-2], listed[-1]
        more = [
            (stubs[-2][0], dns_zone_service_pb2.ListDnsZoneRecordSetsRequest(dns_zone_id=zone.id), "ListRecordSets")
            for zone in zones
        ]
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

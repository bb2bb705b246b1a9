"""Every declared resource."""

from __future__ import annotations

from ..declaration import Resource
from . import (
    yandex_api_gateway,
    yandex_certificatemanager,
    yandex_compute,
    yandex_containerregistry,
    yandex_disks,
    yandex_dns,
    yandex_iam,
    yandex_kms,
    yandex_lockbox,
    yandex_logging,
    yandex_postgresql,
    yandex_serverless,
    yandex_storage,
    yandex_vpc,
)

MODULES = (
    yandex_vpc,
    yandex_iam,
    yandex_kms,
    yandex_lockbox,
    yandex_storage,
    yandex_disks,
    yandex_compute,
    yandex_postgresql,
    yandex_containerregistry,
    yandex_logging,
    yandex_certificatemanager,
    yandex_serverless,
    yandex_api_gateway,
    yandex_dns,
)
# what has an example is a resource of its own; the others are there to be referred to
ALL = list({id(r): r for m in MODULES for r in vars(m).values() if isinstance(r, Resource) and r.example}.values())

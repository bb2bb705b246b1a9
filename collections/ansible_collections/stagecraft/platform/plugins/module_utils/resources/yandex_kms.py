"""Keys that the cloud encrypts with."""

from __future__ import annotations

from ..access import ACCESS, Shared
from ..yandex import Field, Resource

SYMMETRIC_KEY = Resource(
    "kms.v1.SymmetricKey",
    backend=Shared,
    ident="key_id",
    filled=("status=active",),
    fields=(
        Field("algorithm", path="default_algorithm", default="aes_256"),
        Field("rotation_period", "How often a new version is made; never when not set.", unit="duration"),
        ACCESS,
    ),
    example="""
name: data
rotation_period: 365d
deletion_protection: true
access:
  - {role: kms.keys.encrypterDecrypter, service_account: api}
""",
)

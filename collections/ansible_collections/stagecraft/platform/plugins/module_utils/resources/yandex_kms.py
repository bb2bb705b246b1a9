"""Keys that the cloud encrypts with."""

from __future__ import annotations

from ..yandex import Field, Resource

SYMMETRIC_KEY = Resource(
    "kms.v1.SymmetricKey",
    ident="key_id",
    fields=(
        Field("algorithm", path="default_algorithm", default="aes_256"),
        Field("rotation_period", "How often a new version is made; never when not set.", unit="duration"),
    ),
    example="""
name: data
rotation_period: 365d
deletion_protection: true
""",
)

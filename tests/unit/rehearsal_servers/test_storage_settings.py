"""Buckets and roles, from the cloud's messages to what the S3 server is told."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from google.protobuf.json_format import ParseDict
from yandex.cloud.storage.v1.bucket_pb2 import Bucket, CorsRule, LifecycleRule

from rehearsal.world import s3_access, s3_settings


@pytest.mark.parametrize(
    ("rule", "spelled"),
    [
        (
            {"id": "a", "enabled": True, "filter": {"prefix": "old/"}, "expiration": {"days": "3"}},
            {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 3}},
        ),
        (
            {"noncurrent_expiration": {"noncurrent_days": "30"}},
            {"Status": "Disabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 30}},
        ),
        (
            {
                "enabled": True,
                "filter": {"and_operator": {"prefix": "x/", "tag": [{"key": "k", "value": "v"}]}},
                "transitions": [{"days": "9", "storage_class": "COLD"}],
                "abort_incomplete_multipart_upload": {"days_after_expiration": "2"},
            },
            {
                "Status": "Enabled",
                "Filter": {"And": {"Prefix": "x/", "Tags": [{"Key": "k", "Value": "v"}]}},
                "Transitions": [{"Days": 9, "StorageClass": "COLD"}],
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
            },
        ),
    ],
)
def test_lifecycle_rules(rule, spelled):
    assert s3_settings.lifecycle_rule(ParseDict(rule, LifecycleRule())) == spelled


def test_cors_rules():
    rule = CorsRule(allowed_methods=[CorsRule.METHOD_GET], allowed_origins=["https://example.com"])
    rule.max_age_seconds.value = 60
    assert s3_settings.cors_rule(rule) == {
        "AllowedMethods": ["GET"],
        "AllowedOrigins": ["https://example.com"],
        "MaxAgeSeconds": 60,
    }


def test_what_everybody_may_do():
    bucket = Bucket(name="public")
    assert s3_settings.public_actions(bucket) == ()
    bucket.anonymous_access_flags.read.value = True
    bucket.anonymous_access_flags.list.value = False
    assert s3_settings.public_actions(bucket) == ("Read",)


def cloud(**bindings: list[tuple[str, str, str]]) -> SimpleNamespace:
    identity = SimpleNamespace(bindings=lambda place: bindings.get(place, []))
    buckets = [Bucket(name="models", folder_id="folder"), Bucket(name="records", folder_id="folder")]
    return SimpleNamespace(folder_id="folder", cloud_id="cloud", identity=identity, all=lambda api: buckets)


def test_a_role_on_the_folder_holds_in_every_bucket():
    bound = cloud(folder=[("storage.viewer", "serviceAccount", "aje1"), ("editor", "serviceAccount", "aje2")])
    assert s3_access.actions(bound, "aje1") == ("List", "Read")
    assert s3_access.actions(bound, "aje2") == ("List", "Read", "Tagging", "Write")
    assert s3_access.actions(bound, "aje3") == ()


def test_a_role_on_a_folder_holds_in_its_buckets_and_in_no_other_ones():
    bound = cloud(folder=[("editor", "serviceAccount", "aje1")], there=[("storage.viewer", "serviceAccount", "aje1")])
    bound.all("storage.v1.Bucket")[1].folder_id = "there"
    assert s3_access.actions(bound, "aje1") == ("List", "Read", "Tagging:models", "Write:models")
    assert s3_access.actions(cloud(there=[("editor", "serviceAccount", "aje1")]), "aje1") == ()


def test_a_role_on_a_bucket_holds_there_and_adds_to_the_folder_s():
    bound = cloud(
        folder=[("storage.viewer", "serviceAccount", "aje1")], models=[("storage.editor", "serviceAccount", "aje1")]
    )
    assert s3_access.actions(bound, "aje1") == ("List", "Read", "Tagging:models", "Write:models")


def test_an_encrypted_bucket_wants_a_role_for_its_key_too():
    """A key for reading does not do for writing, and other buckets stay as they are."""
    app, everything = ("serviceAccount", "aje1"), {"List", "Read", "Tagging", "Write"}
    roles = {"folder": [("storage.uploader", *app)], "key": []}
    bound = cloud()
    bound.identity.bindings = lambda place: roles.get(place, [])
    bound.all("storage.v1.Bucket")[0].encryption.rules.add(kms_master_key_id="key")

    def may(bucket: str) -> set[str]:
        split = [action.partition(":") for action in s3_access.actions(bound, "aje1")]
        return {action for action, _, where in split if where in ("", bucket)}

    for held, lacking in (
        ([], {"Read", "Write"}),
        (["kms.keys.decrypter"], {"Write"}),
        (["kms.keys.encrypter"], {"Read"}),
        (["kms.keys.encrypterDecrypter"], set()),
    ):
        roles["key"] = [(role, *app) for role in held]
        assert may("models") == everything - lacking
        assert may("records") == everything


def test_a_role_for_something_else_opens_nothing():
    assert s3_access.actions(cloud(folder=[("vpc.admin", "serviceAccount", "aje1")]), "aje1") == ()


def test_grants_of_a_bucket_open_it_to_one_account_to_all_accounts_and_to_everybody():
    bound = cloud()
    models, records = bound.all("storage.v1.Bucket")
    ParseDict(
        {
            "grants": [
                {"permission": "PERMISSION_READ", "grant_type": "GRANT_TYPE_ACCOUNT", "grantee_id": "aje1"},
                {"permission": "PERMISSION_WRITE_ACP", "grant_type": "GRANT_TYPE_ACCOUNT", "grantee_id": "aje2"},
            ]
        },
        models.acl,
    )
    grants = [
        {"permission": "PERMISSION_WRITE", "grant_type": "GRANT_TYPE_ALL_AUTHENTICATED_USERS"},
        {"permission": "PERMISSION_READ", "grant_type": "GRANT_TYPE_ALL_USERS"},
    ]
    ParseDict({"grants": grants}, records.acl)
    assert s3_access.actions(bound, "aje1") == ("List:models", "Read:models", "Tagging:records", "Write:records")
    assert s3_access.actions(bound, "aje2") == ("Tagging:records", "Write:records")
    assert s3_settings.public_actions(models) == ()
    assert s3_settings.public_actions(records) == ("List", "Read")

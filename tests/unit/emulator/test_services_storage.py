"""What a bucket may be set to, and the keys that it encrypts with."""

from __future__ import annotations

import grpc
import pytest
from cloud_client import refused
from google.protobuf.struct_pb2 import Struct

Code = grpc.StatusCode
NAME = "settings-of-it"


@pytest.fixture
def buckets(client):
    api = client.api("storage.v1.Bucket")
    api.Create(folder_id=client.folder, name=NAME)
    return api


def policy(**statement: object) -> Struct:
    found = Struct()
    whole = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{NAME}/*"}
    found.update({"Version": "2012-10-17", "Statement": [{**whole, **statement}]})
    return found


def test_a_policy_is_of_its_own_bucket(buckets):
    change = {"name": NAME, "mask": "policy"}
    assert buckets.Update(**change, policy=policy()).policy["Statement"][0]["Action"] == "s3:GetObject"
    assert not buckets.Get(name=NAME).policy.fields, "the basic view leaves it out"
    for wrong, words in (
        ({"Resource": "arn:aws:s3:::elsewhere/*"}, "not in bucket"),
        ({"Resource": f"arn:aws:s3:::{NAME}-2"}, "not in bucket"),
        ({"Effect": "Perhaps"}, "Allow, Deny"),
        ({"Action": []}, "Action: Field is required"),
    ):
        refused(Code.INVALID_ARGUMENT, lambda wrong=wrong: buckets.Update(**change, policy=policy(**wrong)), words)
    assert not buckets.Update(**change).policy.fields


def test_grants_are_for_somebody(client, buckets):
    account = client.api("iam.v1.ServiceAccount").Create(folder_id=client.folder, name="robot")
    change = {"name": NAME, "mask": "acl"}
    grant = {"permission": "PERMISSION_READ", "grant_type": "GRANT_TYPE_ACCOUNT", "grantee_id": account.id}
    assert buckets.Update(**change, acl={"grants": [grant]}).acl.grants[0].grantee_id == account.id
    nobody = {"grants": [{**grant, "grantee_id": "ajenobody"}]}
    refused(Code.NOT_FOUND, lambda: buckets.Update(**change, acl=nobody), "ajenobody")
    everybody = {"grants": [{**grant, "grant_type": "GRANT_TYPE_ALL_USERS"}]}
    refused(Code.INVALID_ARGUMENT, lambda: buckets.Update(**change, acl=everybody), "grantee_id")


def test_rules_for_other_origins(buckets):
    change = {"name": NAME, "mask": "cors"}
    rule = {"allowed_methods": ["METHOD_GET"], "allowed_origins": ["*"]}
    refused(Code.INVALID_ARGUMENT, lambda: buckets.Update(**change, cors=[{**rule, "allowed_origins": []}]), "cors")
    refused(Code.INVALID_ARGUMENT, lambda: buckets.Update(**change, cors=[rule] * 101), "at most 100")
    assert len(buckets.Update(**change, cors=[rule]).cors) == 1


def test_a_key_stays_while_a_bucket_encrypts_with_it(client, buckets):
    keys = client.api("kms.v1.SymmetricKey")
    key = keys.Create(folder_id=client.folder, name="data", default_algorithm="AES_256")
    assert key.status == key.ACTIVE and key.primary_version.primary
    assert keys.Rotate(key_id=key.id).primary_version.id != key.primary_version.id
    change = {"name": NAME, "mask": "encryption"}
    rule = {"kms_master_key_id": key.id, "sse_algorithm": "aws:kms"}
    buckets.Update(**change, encryption={"rules": [rule]})
    refused(Code.FAILED_PRECONDITION, lambda: keys.Delete(key_id=key.id), NAME)
    refused(
        Code.NOT_FOUND, lambda: buckets.Update(**change, encryption={"rules": [{**rule, "kms_master_key_id": "abj"}]})
    )
    refused(
        Code.INVALID_ARGUMENT, lambda: buckets.Update(**change, encryption={"rules": [{**rule, "sse_algorithm": "x"}]})
    )
    assert not buckets.Update(**change).encryption.rules
    keys.Delete(key_id=key.id)
    refused(Code.NOT_FOUND, lambda: keys.Get(key_id=key.id))

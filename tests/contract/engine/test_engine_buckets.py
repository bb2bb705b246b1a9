"""What a bucket is protected from: a name that is somebody else's, and a policy that nobody can take back."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.resources.yandex_storage import locked_out
from engine_runs import Engine, kind_of

from rehearsal.cloud.descriptors import new

KIND = "storage_bucket"


@pytest.fixture
def foreign(engine: Engine):
    """Buckets of another folder: one that this account may read, and one that it may not."""
    cloud, names = engine.cloud.cloud, ("taken-by-us", "taken-by-others")
    for folder, name in zip(("b1gneighbour", "b1gstranger"), names, strict=True):
        bucket = new("storage.v1.Bucket")
        bucket.id = bucket.name = name
        bucket.folder_id = folder
        cloud.kind("storage.v1.Bucket").save(cloud, bucket)
    accounts = [key.service_account_id for key in cloud.all("iam.v1.Key")]
    cloud.identity.bind(names[0], "storage.viewer", "serviceAccount", accounts[0])
    yield names
    for name in names:
        cloud.store.drop("storage.v1.Bucket", name)


def test_a_name_that_is_taken(engine, foreign):
    for name, whose in zip(foreign, ("a bucket of the folder b1gneighbour", "somebody else's bucket"), strict=True):
        before = len(engine.calls())
        for check in (True, False):
            with pytest.raises(Fail, match=f"storage_bucket {name}: the name is taken by {whose}.* choose another one"):
                engine.apply(KIND, {"name": name, "versioning": "enabled"}, check=check)
        assert not engine.apply(KIND, {"name": name}, state="absent")["changed"], "it is not ours to delete"
        assert len(engine.calls()) == before
        assert engine.cloud.cloud.get("storage.v1.Bucket", name) is not None


BUCKET = "arn:aws:s3:::contract-shut"
OWN, OTHER = {"CanonicalUser": "<own>"}, {"CanonicalUser": ["ajesomebody"]}
EVERYTHING = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": [BUCKET, f"{BUCKET}/*"]}
DENIED, NOT_ALLOWED = "statement {} denies the account", "no statement allows the account"


def rule(**more) -> dict:
    return {**EVERYTHING, **more}


def deny(**more) -> dict:
    return rule(Effect="Deny", **more)


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        ([EVERYTHING], ""),
        ([rule(Action=["s3:GetObject", "s3:Put*"], Principal={"CanonicalUser": ["ajesomebody", "<own>"]})], ""),
        ([deny(Action="s3:GetObject"), rule(Principal=OWN)], ""),
        ([EVERYTHING, deny(Resource=f"{BUCKET}/*")], ""),
        ([EVERYTHING, deny(Principal=OTHER)], ""),
        ([EVERYTHING, deny(Condition={"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}})], ""),
        ([EVERYTHING, deny()], DENIED.format(1)),
        ([deny(Action=["s3:GetObject", "s3:PutBucketPolicy"], Principal={"AWS": ["*"]}), EVERYTHING], DENIED.format(0)),
        ([EVERYTHING, deny(Action="s3:Put*", Principal=OWN)], DENIED.format(1)),
        ([deny()], DENIED.format(0)),
        # What no statement allows is denied: a policy of nothing but Deny shuts out whom it does not name, too.
        ([deny(Resource=f"{BUCKET}/*")], NOT_ALLOWED),
        ([deny(Action="s3:GetObject")], NOT_ALLOWED),
        ([deny(Principal=OTHER)], NOT_ALLOWED),
        ([deny(Condition={"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}})], NOT_ALLOWED),
        ([rule(Action="s3:GetObject")], NOT_ALLOWED),
        ([rule(Resource=f"{BUCKET}/*")], NOT_ALLOWED),
        ([rule(Principal=OTHER)], NOT_ALLOWED),
        ([rule(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})], NOT_ALLOWED),
    ],
)
def test_a_policy_that_who_applies_it_could_not_change_back(engine, statements, says):
    own = engine.session.credentials.arguments["service_account_key"]["service_account_id"]
    policy = {"Version": "2012-10-17", "Statement": json.loads(json.dumps(statements).replace("<own>", own))}
    bucket = {"name": "contract-shut", "policy": policy}
    try:
        if says:
            with pytest.raises(Fail, match=f"policy: {says}.*{own}.*force_policy: true"):
                engine.apply(KIND, bucket)
            assert not engine.apply(KIND, {"name": "contract-shut"}, state="info")["exists"]
            engine.apply(KIND, {"name": "contract-shut"})
            for check in (True, False):
                with pytest.raises(Fail, match=f"policy: {says}"):
                    engine.apply(KIND, bucket, check=check)
            bucket["force_policy"] = True
        assert engine.apply(KIND, bucket)["changed"]
        assert not engine.apply(KIND, bucket)["changed"]
    finally:
        engine.demolish([{KIND: {"name": "contract-shut"}}])


def test_what_the_refusal_advises_is_no_trap(engine):
    """The statement that the message asks for is enough, next to whatever was refused without it."""
    bucket = {"name": "contract-shut", "policy": {"Version": "2012-10-17", "Statement": [deny(Action="s3:GetObject")]}}
    with pytest.raises(Fail) as refused:
        engine.apply(KIND, bucket)
    effect, action, resource = re.search(r"Effect: (\S+), Action: (\S+), Resource: (\S+) ", str(refused.value)).groups()
    advised = {"Effect": effect, "Action": action, "Resource": resource, "Principal": "*"}
    bucket["policy"]["Statement"].append(advised)
    assert engine.apply(KIND, bucket, check=True)["changed"]


def test_a_module_of_its_own_refuses_it_too(engine):
    """It knows who applies the policy only when it has a session."""
    values = {"name": "contract-shut", "policy": {"Statement": [rule(Principal=OTHER)]}, "state": "present"}
    assert kind_of(KIND).backend(None, kind_of(KIND), {}).wrong(values) == []
    with pytest.raises(Fail, match=NOT_ALLOWED):
        kind_of(KIND).backend(engine.session, kind_of(KIND), values).find()


@pytest.mark.parametrize(
    ("said", "own", "shut"),
    [
        (deny(Principal="*", NotAction="s3:GetObject", Resource="arn:aws:s3:::contract-*"), "", True),
        ({"Effect": "Deny", "NotPrincipal": OTHER, "Action": "*", "NotResource": "arn:aws:s3:::other"}, "", True),
        ({"Effect": "Deny", "NotPrincipal": OTHER, "Action": "*", "Resource": "*"}, "ajeme", True),
        ({"Effect": "Deny", "NotPrincipal": OTHER, "Action": "*", "Resource": "*"}, "ajesomebody", False),
        ({"Effect": "Deny", "Principal": "*", "NotAction": ["s3:PutBucketPolicy"], "Resource": "*"}, "", False),
        ({"Effect": "Deny", "Principal": "*", "Action": "*", "NotResource": BUCKET}, "", False),
        (deny(Principal=OTHER), "", False),  # it may be for somebody else
    ],
)
def test_a_policy_that_shuts_out_by_what_it_does_not_name(said, own, shut):
    said = {key: value for key, value in said.items() if f"Not{key}" not in said}
    assert bool(locked_out({"Statement": [EVERYTHING, said]}, "contract-shut", own)) is shut


def test_a_policy_that_says_nothing_shuts_everybody_out(engine):
    """https://yandex.cloud/en/docs/storage/security/policy: with a policy without rules, access is denied to all users."""
    bucket = {"name": "contract-shut", "policy": {"Version": "2012-10-17", "Statement": []}}
    for check in (True, False):
        with pytest.raises(Fail, match="policy: it has no Statement.*leave the policy out"):
            engine.apply(KIND, bucket, check=check)
    assert not engine.apply(KIND, {"name": "contract-shut"}, state="info")["exists"]


def test_with_an_iam_token_whoever_is_allowed_by_name_may_be_the_one_who_applies_it():
    assert locked_out({"Statement": [rule(Principal=OTHER)]}, "contract-shut") == []
    assert locked_out({"Statement": [rule(Principal=OTHER)]}, "contract-shut", "ajeme") != []

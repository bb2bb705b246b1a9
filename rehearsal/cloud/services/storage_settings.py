"""Which grants, rules for other origins, policies and keys a bucket can have."""

from __future__ import annotations

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from yandex.cloud.storage.v1.bucket_pb2 import ACL

from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import invalid, not_found

ACCOUNT, KEY = "iam.v1.ServiceAccount", "kms.v1.SymmetricKey"
CORS_RULES = GRANTS = 100
POLICY_BYTES = 20480
ALGORITHM = "aws:kms"
EFFECTS = ("Allow", "Deny")


def check(cloud: Cloud, bucket: Message) -> None:
    """Raises INVALID_ARGUMENT, or NOT_FOUND for an account or a key that is not there."""
    _check_grants(cloud, bucket.acl.grants)
    if len(bucket.cors) > CORS_RULES:
        raise invalid(f"cors: a bucket has at most {CORS_RULES} rules")
    if any(not rule.allowed_methods or not rule.allowed_origins for rule in bucket.cors):
        raise invalid("cors: allowed_methods and allowed_origins: at least one of each is required")
    if bucket.policy.fields:
        _check_policy(bucket.name, MessageToDict(bucket.policy))
    for rule in bucket.encryption.rules:
        if rule.sse_algorithm != ALGORITHM:
            raise invalid(f"encryption.rules.sse_algorithm: {rule.sse_algorithm!r} is not {ALGORITHM}")
        if cloud.get(KEY, rule.kms_master_key_id) is None:
            raise not_found("SymmetricKey", rule.kms_master_key_id)
    if len(bucket.encryption.rules) > 1:
        raise invalid("encryption.rules: a bucket has one rule")


def _check_grants(cloud: Cloud, grants: list[Message]) -> None:
    if len(grants) > GRANTS:
        raise invalid(f"acl.grants: a bucket has at most {GRANTS} grants")
    for grant in grants:
        for_account = grant.grant_type == ACL.Grant.GRANT_TYPE_ACCOUNT
        if for_account and cloud.get(ACCOUNT, grant.grantee_id) is None:
            raise not_found("ServiceAccount", grant.grantee_id)
        if grant.grantee_id and not for_account:
            raise invalid("acl.grants.grantee_id: only a grant of type GRANT_TYPE_ACCOUNT has a grantee")


def _check_policy(bucket: str, policy: dict) -> None:
    """The shape that S3 wants; what is allowed must be in this bucket."""
    if len(str(policy)) > POLICY_BYTES:
        raise invalid(f"policy: Length must be at most {POLICY_BYTES} bytes")
    statements = policy.get("Statement")
    if not isinstance(statements, list) or not statements:
        raise invalid("policy.Statement: a list of statements is required")
    for statement in statements:
        missing = [word for word in ("Effect", "Action", "Resource") if not statement.get(word)]
        if missing:
            raise invalid(f"policy.Statement: {', '.join(missing)}: Field is required")
        if statement["Effect"] not in EFFECTS:
            raise invalid(f"policy.Statement.Effect: {statement['Effect']!r} is none of {', '.join(EFFECTS)}")
        if "Principal" not in statement:
            raise invalid("policy.Statement.Principal: Field is required; '*' is everybody")
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for resource in resources:
            if (
                not resource.startswith((f"arn:aws:s3:::{bucket}/", "arn:aws:s3:::*"))
                and resource != f"arn:aws:s3:::{bucket}"
            ):
                raise invalid(f"policy.Statement.Resource: {resource!r} is not in bucket {bucket}")

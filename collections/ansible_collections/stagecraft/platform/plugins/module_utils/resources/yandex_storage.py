"""Object Storage."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from ..access import ACCESS, Shared
from ..errors import ApiFail
from ..yandex import Fail, Field, Ref, Resource
from .yandex_iam import SERVICE_ACCOUNT
from .yandex_kms import SYMMETRIC_KEY

CHANGE = "s3:putbucketpolicy"  # who may not do this cannot take a policy back; policies are compared in lower case


class Buckets(Shared):
    """Names are unique among all clouds: what is there may be somebody else's."""

    def __init__(self, session: Any, resource: Any, params: dict) -> None:
        super().__init__(session, resource, params)
        self.declared = params
        self.going = params.get("state") == "absent"

    def find(self) -> dict | None:
        """What is there under the name in this folder. Raises Fail where it is taken, unless it is to go anyway."""
        for said in self.wrong(self.declared):  # a module alone knows only now who applies it
            raise Fail(said)
        try:
            have = super().find()
        except ApiFail as error:
            if error.code != "PERMISSION_DENIED":
                raise
            whose = f"somebody else's bucket, or the account lacks the role storage.viewer on its own ({error})"
        else:
            if have is None or self.raw.folder_id == self.keys["folder"]:
                return have
            whose = f"a bucket of the folder {self.raw.folder_id}"
        self.id, self.raw = "", None
        if self.going:
            return None
        raise Fail(f"the name is taken by {whose}: names are unique among all clouds, so choose another one")

    def bound_to(self) -> str:
        """Its requests know it by its name, and roles by the id behind that."""
        return self.raw.resource_id

    def examine(self, wanted: dict, have: dict) -> None:
        super().examine(wanted, have)
        have["force_policy"] = wanted.get("force_policy")  # says nothing about what is there

    def wrong(self, params: dict) -> list[str]:
        """Policies that would keep who applies them from changing them again."""
        policy = params.get("policy") or {}
        if self.session is None or not policy or params.get("state") != "present" or params.get("force_policy"):
            return []
        own = self.session.credentials.account
        return [f"policy: {said}, or say force_policy: true" for said in locked_out(policy, params["name"], own)]


def locked_out(policy: dict, bucket: str, own: str = "") -> list[str]:
    """How a policy keeps the account `own` from changing it again, and what to do; nothing where it does not.

    "If the request doesn't meet any of the rules, access is denied", and one that meets a Deny is denied whatever is
    allowed: https://yandex.cloud/en/docs/storage/concepts/policy. What a Condition comes to is not known here: an Allow
    with one does not count as one for this account, and a Deny with one not as one against it. Without `own` (an IAM
    token does not say whose it is) each account that a statement names may be it.
    """
    statements = policy.get("Statement") or []
    statements = statements if isinstance(statements, list) else [statements]
    if not statements:
        return ["it has no Statement, by which the service refuses everybody, its owner too: leave the policy out"]
    thing, whom = (
        f"arn:aws:s3:::{bucket}",
        f"the account that applies it ({own})" if own else "the account that applies it",
    )
    rules = [(n, s) for n, s in enumerate(statements) if isinstance(s, dict) and covers(s, thing)]
    denied = [
        f"statement {number} denies {whom} to change the bucket's policy again: leave s3:PutBucketPolicy or {thing} out"
        for number, rule in rules
        if rule.get("Effect") == "Deny" and meant(rule, own, unknown="NotPrincipal" in rule)
    ]
    if denied or any(rule.get("Effect") == "Allow" and meant(rule, own, unknown=True) for _, rule in rules):
        return denied
    return [
        f"no statement allows {whom} to change it again, and the service denies what none allows, its owner too: add one "
        f"with Effect: Allow, Action: s3:PutBucketPolicy, Resource: {thing} and this account or '*' as Principal, "
        "without a Condition"
    ]


def words(value: Any) -> list[str]:
    """All texts of a part of a statement, in lower case."""
    if isinstance(value, dict):
        value = list(value.values())
    return [word for one in value for word in words(one)] if isinstance(value, list) else [str(value).lower()]


def covers(statement: dict, thing: str) -> bool:
    """Whether a statement is about changing the policy of the bucket `thing`, and holds always."""

    def fits(name: str, wanted: str) -> bool:
        if name in statement:
            return any(fnmatchcase(wanted, pattern) for pattern in words(statement[name]))
        left_out = words(statement.get(f"Not{name}", []))
        return bool(left_out) and not any(fnmatchcase(wanted, pattern) for pattern in left_out)

    return not statement.get("Condition") and fits("Action", CHANGE) and fits("Resource", thing)


def meant(statement: dict, own: str, *, unknown: bool) -> bool:
    """Whether a statement is for the account; `unknown` where it names some, and nobody knows which one this is."""
    named = words(statement.get("Principal", []))
    if "*" in named:
        return True
    if not own:
        return unknown
    return own.lower() not in words(statement["NotPrincipal"]) if "NotPrincipal" in statement else own.lower() in named


BUCKET = Resource(
    "storage.v1.Bucket",
    backend=Buckets,
    view="VIEW_FULL",
    fields=(
        Field("max_size", unit="size"),
        Field("storage_class", path="default_storage_class", usual="STANDARD"),
        Field("versioning", usual="disabled"),
        Field("anonymous_access", path="anonymous_access_flags"),
        Field(
            "lifecycle",
            "What happens to objects as they grow old.",
            "lifecycle_rules",
            fields=(
                Field("id", required=True),
                Field("enabled", default=True),
                Field("prefix", "Only objects whose key begins with this.", "filter.prefix"),
                Field("expire_days", "Delete objects after so many days.", "expiration.days"),
                Field(
                    "expire_versions_days",
                    "Delete old versions after so many days.",
                    "noncurrent_expiration.noncurrent_days",
                ),
                Field(
                    "abort_uploads_days",
                    "Give up unfinished uploads after so many days.",
                    "abort_incomplete_multipart_upload.days_after_expiration",
                ),
            ),
        ),
        Field(
            "acl",
            "Who else may do what with the whole bucket; anonymous_access is the simpler way to open it for reading.",
            "acl.grants",
            mask="acl",
            fields=(
                Field("permission", required=True),
                Field("type", "Whom it is for.", "grant_type", required=True),
                Ref(
                    "service_account",
                    SERVICE_ACCOUNT,
                    "Name of the service account, of a grant for an account.",
                    "grantee_id",
                    computed=True,
                ),
            ),
        ),
        Field(
            "cors",
            "What pages of other origins may do in a browser.",
            fields=(
                Field("id"),
                Field("allowed_methods", required=True),
                Field("allowed_origins", required=True),
                Field("allowed_headers"),
                Field("expose_headers"),
                Field("max_age", "How long a browser may remember the answer.", "max_age_seconds", unit="duration"),
            ),
        ),
        Field("policy", "The bucket's policy, with C(Version) and C(Statement) as S3 has them."),
        Field(
            "force_policy",
            "Set a policy that keeps the account that applies it from changing it again.",
            virtual=True,
            default=False,
        ),
        Field(
            "encryption",
            "The key that new objects are encrypted with.",
            "encryption.rules",
            mask="encryption",
            fields=(
                Ref("kms_key", SYMMETRIC_KEY, "Name of the key.", "kms_master_key_id", required=True),
                Field("algorithm", path="sse_algorithm", default="aws:kms"),
            ),
        ),
        Field("labels", path="tags"),
        ACCESS,
    ),
    example="""
name: stage-models
max_size: 50GB
versioning: enabled
lifecycle:
  - {id: old-versions, expire_versions_days: 30}
encryption: [{kms_key: data}]
access:
  - {role: storage.viewer, service_account: api}
""",
)

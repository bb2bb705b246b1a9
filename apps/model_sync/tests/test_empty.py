"""Emptying: everything below the prefix goes, old versions too, and nothing beside it."""

from __future__ import annotations

from conftest import Desk, Storage, run


def versions(storage: Storage, bucket: str) -> int:
    page = storage.client.list_object_versions(Bucket=bucket)
    return len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))


def test_old_versions_and_delete_markers_go_too(prefix: str, storage: Storage) -> None:
    bucket = "versioned"
    storage.client.create_bucket(Bucket=bucket)
    storage.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"one", b"two"):
        storage.client.put_object(Bucket=bucket, Key="models/manifest.json", Body=body)
    storage.client.put_object(Bucket=bucket, Key="gone", Body=b"three")
    storage.client.delete_object(Bucket=bucket, Key="gone")
    there = versions(storage, bucket)
    assert there == 4
    assert run("empty", f"s3://{bucket}", "--check") == {"changed": True, "deleted": there}
    assert versions(storage, bucket) == there
    assert run("empty", f"s3://{bucket}") == {"changed": True, "deleted": there}
    assert versions(storage, bucket) == 0
    assert run("empty", f"s3://{bucket}") == {"changed": False, "deleted": 0}
    storage.client.delete_bucket(Bucket=bucket)


def test_what_lies_beside_the_prefix_stays(desk: Desk, storage: Storage) -> None:
    desk.build("1", b"one")
    desk.publish()
    storage.client.put_object(Bucket="stage", Key=f"beside-{desk.prefix}", Body=b"mine")
    assert run("empty", desk.url)["deleted"] == 2
    assert storage.keys(desk.prefix) == [] and storage.keys(f"beside-{desk.prefix}") != []

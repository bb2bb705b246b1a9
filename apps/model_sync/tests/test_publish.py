"""Publishing: files first, manifest last, nothing ever changed."""

from __future__ import annotations

import json

import pytest
from conftest import Desk, Storage


def test_a_version_is_published_once(desk: Desk, storage: Storage) -> None:
    desk.build("1", b"one")
    assert desk.publish("--check") == {"changed": True, "added": {"digits": ["1"]}}
    assert storage.keys(desk.prefix) == []
    assert desk.publish() == {"changed": True, "added": {"digits": ["1"]}}
    assert desk.publish() == {"changed": False, "added": {}}
    assert storage.read(f"{desk.prefix}/digits/1/model.onnx") == b"one"


def test_what_others_published_stays_in_the_manifest(desk: Desk, storage: Storage) -> None:
    desk.build("1", b"one")
    desk.build("1", b"letters", model="letters")
    desk.publish()
    desk.models = {}
    desk.build("2", b"two")
    assert desk.publish()["added"] == {"digits": ["2"]}
    manifest = json.loads(storage.read(f"{desk.prefix}/manifest.json"))["models"]
    assert {model: sorted(entry["versions"]) for model, entry in manifest.items()} == {
        "digits": ["1", "2"],
        "letters": ["1"],
    }


def test_a_published_version_never_changes(desk: Desk, storage: Storage) -> None:
    desk.build("1", b"one")
    desk.publish()
    desk.build("1", b"another one")
    desk.build("2", b"two")
    with pytest.raises(RuntimeError, match=r"digits/1 is published with other checksums.*next number, 2"):
        desk.publish()
    assert storage.read(f"{desk.prefix}/digits/1/model.onnx") == b"one"
    assert b'"2"' not in storage.read(f"{desk.prefix}/manifest.json")


def test_a_file_that_is_not_what_the_manifest_says_is_refused(desk: Desk) -> None:
    desk.build("1", b"one")
    (desk.folder / "digits" / "1" / "model.onnx").write_bytes(b"not")
    with pytest.raises(RuntimeError, match=r"model.onnx is not what .*manifest.json says"):
        desk.publish()


def test_a_folder_without_models(desk: Desk) -> None:
    with pytest.raises(RuntimeError, match=r"manifest.json: No such file or directory. Build the model first."):
        desk.publish()


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "SignatureDoesNotMatch .*Check the secret key"),
        ("AWS_ACCESS_KEY_ID", "nobody", "InvalidAccessKeyId .*Check the access key"),
        ("AWS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt", "Check the endpoint's certificate and the CA bundle"),
        ("AWS_ENDPOINT_URL_S3", "https://127.0.0.1:9", "Check the endpoint and the network"),
    ],
)
def test_the_wrong_door_is_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    desk.build("1", b"one")
    monkeypatch.setenv(variable, value)
    with pytest.raises(RuntimeError, match=rf"{desk.url}.*{expected}"):
        desk.publish()


def test_a_bucket_that_does_not_exist(desk: Desk) -> None:
    desk.build("1", b"one")
    desk.url = "s3://elsewhere/models"
    with pytest.raises(RuntimeError, match=r"NoSuchBucket .*Check the bucket's name"):
        desk.publish()

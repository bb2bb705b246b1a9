"""Publishing: files first, manifest last, nothing ever changed."""

from __future__ import annotations

import io
import json
import os

import pytest
from clocks import set_wrong
from conftest import Desk, Storage

NAMES = {"key_id": "ACCESS_KEY_ID", "secret": "SECRET_ACCESS_KEY"}


def test_a_version_is_published_once(desk: Desk, storage: Storage) -> None:
    desk.build("1", b"one")
    assert desk.publish("--check") == {
        "changed": True,
        "added": {"digits": ["1"]},
        "kept": {},
        "versions": {"digits": ["1"]},
    }
    assert storage.keys(desk.prefix) == []
    assert desk.publish() == {"changed": True, "added": {"digits": ["1"]}, "kept": {}, "versions": {"digits": ["1"]}}
    assert desk.publish() == {"changed": False, "added": {}, "kept": {}, "versions": {"digits": ["1"]}}
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


def test_a_version_of_the_same_source_stays_as_it_was_published(
    desk: Desk, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where a pipeline's machine trains again, with another library or processor."""
    desk.build("1", b"one", source="recipe-1")
    desk.publish()
    published = storage.read(f"{desk.prefix}/manifest.json")
    desk.build("1", b"one, rounded otherwise", source="recipe-1")
    for options in (("--check",), ()):
        assert desk.publish(*options) == {
            "changed": False,
            "added": {},
            "kept": {"digits": ["1"]},
            "versions": {"digits": ["1"]},
        }
        assert "digits version 1 is published with other bytes of the same source" in capsys.readouterr().err
    desk.build("2", b"two", source="recipe-2")
    assert desk.publish() == {
        "changed": True,
        "added": {"digits": ["2"]},
        "kept": {"digits": ["1"]},
        "versions": {"digits": ["1", "2"]},
    }
    assert storage.read(f"{desk.prefix}/digits/1/model.onnx") == b"one"
    now = json.loads(storage.read(f"{desk.prefix}/manifest.json"))["models"]["digits"]["versions"]
    assert now["1"] == json.loads(published)["models"]["digits"]["versions"]["1"]


@pytest.mark.parametrize("sources", [("recipe-1", "another"), ("", "recipe-1"), ("", "")])
def test_a_version_of_another_source_is_refused_with_the_next_step(
    desk: Desk, storage: Storage, sources: tuple[str, str]
) -> None:
    desk.build("1", b"one", source=sources[0])
    desk.publish()
    desk.build("1", b"another one", source=sources[1])
    for options in (("--check",), ()):
        with pytest.raises(RuntimeError, match=r"the next number, 2, and leave what 1 is made from as it was"):
            desk.publish(*options)
    assert storage.read(f"{desk.prefix}/digits/1/model.onnx") == b"one"


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


def test_the_key_may_come_on_standard_input(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that starts this one has nowhere else to put it: others can read a command line."""
    desk.build("1", b"one")
    key = {name: os.environ[f"AWS_{variable}"] for name, variable in NAMES.items()}
    for variable in NAMES.values():
        monkeypatch.setenv(f"AWS_{variable}", "replaced")
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(key)))
    assert desk.publish("--key-from-stdin")["changed"]
    for text in ("", "no JSON", '{"key_id": "x"}', "[]"):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        with pytest.raises(RuntimeError, match="Standard input is no access key like"):
            desk.publish("--key-from-stdin")


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_wrong(desk: Desk, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    """A signed request says when it was made: too far off, and it is refused."""
    desk.build("1", b"one")

    set_wrong(monkeypatch, minutes)
    with pytest.raises(RuntimeError, match=rf"{desk.url}.*RequestTimeTooSkewed .*clock says 20..-.* UTC: set it right"):
        desk.publish()


def test_a_bucket_that_does_not_exist(desk: Desk) -> None:
    desk.build("1", b"one")
    desk.url = "s3://elsewhere/models"
    with pytest.raises(RuntimeError, match=r"NoSuchBucket .*Check the bucket's name"):
        desk.publish()

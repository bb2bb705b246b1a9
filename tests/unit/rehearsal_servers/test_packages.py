"""What the package cache lets through, and what the wheelhouse takes from a lock file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rehearsal import packages, wheelhouse
from rehearsal.world import WorldError

HASH, OTHER = "a" * 64, "b" * 64


def test_the_proxy_serves_the_given_sources_on_loopback_and_nothing_else():
    text = packages.configuration(
        Path("/cache"), 3142, ["http://mirror.example/debian", "https://secure.example/debian"]
    ).splitlines()
    assert "BindAddress: 127.0.0.1" in text
    assert "ForceManaged: 1" in text
    assert [line for line in text if line.startswith("Remap-")] == [
        "Remap-mirror-example-debian: mirror.example/debian /mirror-example-debian ; http://mirror.example/debian"
    ]
    assert r"PassThroughPattern: ^(secure\.example):443$" in text


def test_nothing_is_let_through_where_no_source_is_encrypted():
    assert "PassThrough" not in packages.configuration(Path("/cache"), 3142, ["http://mirror.example/debian"])


def test_a_lock_file_is_read_for_the_machines_python():
    text = f"""\
# comment
one==1.0 \\
    --hash=sha256:{HASH} \\
    --hash=sha256:{OTHER}
    # via something
Two_Words[extra]==2.0 ; python_version < "3.12" --hash=sha256:{HASH}
new-only==3.0 ; python_version >= "3.12" --hash=sha256:{HASH}
windows==1 ; sys_platform == "win32" --hash=sha256:{HASH}
"""
    found = wheelhouse.parse(text, "3.11", "a.lock")
    assert [(item.name, item.version) for item in found] == [("one", "1.0"), ("two-words", "2.0")]
    assert found[0].hashes == {HASH, OTHER}
    assert found[0].line == f"one==1.0 --hash=sha256:{HASH} --hash=sha256:{OTHER}"


@pytest.mark.parametrize(("line", "words"), [("one>=1", "is not pinned"), ("one ==== two", "is no requirement")])
def test_what_is_not_pinned_is_refused_by_name(line, words):
    with pytest.raises(WorldError, match=f"a.lock: .*one.*{words}"):
        wheelhouse.parse(line, "3.11", "a.lock")


def test_a_wheel_counts_as_there_only_with_the_right_content(tmp_path, monkeypatch):
    """pip is not asked for what is there; a wheel of that name with another content is downloaded again."""
    monkeypatch.setenv("STAGECRAFT_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    folder = packages.wheel_folder()
    folder.mkdir()
    (folder / "thing-1.0-py3-none-any.whl").write_bytes(b"content")
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"thing==1.0 --hash=sha256:{hashlib.sha256(b'content').hexdigest()}\n")
    assert wheelhouse.fill([lock]).downloaded == []
    assert wheelhouse.fill([], wheels=["thing==1.0"]).present == 1
    lock.write_text(f"thing==1.0 --hash=sha256:{HASH}\n")
    with pytest.raises(WorldError, match=r"pip cannot download wheels for Python 3\.11"):
        wheelhouse.fill([lock])
    assert [path.name for path in folder.iterdir()] == ["thing-1.0-py3-none-any.whl"]

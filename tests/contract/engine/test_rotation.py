"""Keys in the secret store: made once, rotated a step at a time, and at no step is anybody locked out."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils import rotation
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.yandex import SECRET
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_worker import Answers
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs import keys
from engine_runs import LABELS, VARIABLES

DECLARED = {
    "rotated-ca": {"kind": "ca", "common_name": "Test CA"},
    "rotated-leaf": {"kind": "certificate", "ca": "rotated-ca", "names": ["a.internal"]},
    "rotated-ssh": {"kind": "ssh"},
    "rotated-api": {"kind": "api_key", "grace": "1h"},
}


@pytest.fixture
def store(engine):
    """Apply the keys, as the action does; the entries as the secret store has them, what was said, and the answer."""

    def apply(*rotate: str, check: bool = False):
        reach = {option: engine.cloud.env[variable] for option, variable in VARIABLES.items()}
        request = {"connection": reach, "labels": LABELS, "keys": DECLARED, "rotate": list(rotate), "check": check}
        said = io.StringIO()
        answer = keys.run(request, Answers(said))
        entries = {n: engine.session.payload(engine.session.resolve(SECRET, {"name": n})) for n in DECLARED}
        return entries, said.getvalue(), answer

    yield apply
    engine.demolish([{"lockbox_secret": {"name": name}} for name in DECLARED])


def accepted(leaf: dict, bundle: list[str], folder) -> bool:
    """Whether OpenSSL takes the certificate with these authorities."""
    (folder / "bundle.pem").write_text("".join(bundle))
    (folder / "leaf.pem").write_text(leaf["certificate"])
    command = ["openssl", "verify", "-CAfile", folder / "bundle.pem", folder / "leaf.pem"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_an_authority_is_rotated_in_three_steps_and_every_certificate_is_trusted_at_each(store, tmp_path):
    made, _, answer = store()
    assert answer["rotating"] == []
    seen = [made]
    for step, rotating in ((1, ["rotated-ca"]), (2, ["rotated-ca"]), (3, [])):
        entries, _, answer = store("rotated-ca")
        assert answer["rotating"] == rotating, step
        bundle = list(rotation.trusted(entries["rotated-ca"], "certificate").values())
        before = list(rotation.trusted(seen[-1]["rotated-ca"], "certificate").values())
        assert accepted(entries["rotated-leaf"], before, tmp_path), (
            "a client that has not converged yet refuses the new leaf"
        )
        assert accepted(seen[-1]["rotated-leaf"], bundle, tmp_path), (
            "a client refuses the leaf of a server not yet converged"
        )
        seen.append(entries)
    first, last = seen[0], seen[-1]
    assert last["rotated-ca"].keys() == first["rotated-ca"].keys()
    assert not accepted(last["rotated-leaf"], [first["rotated-ca"]["certificate"]], tmp_path)
    assert not accepted(first["rotated-leaf"], [last["rotated-ca"]["certificate"]], tmp_path)
    assert not any(row["changed"] for row in store()[2]["results"])


def test_an_ssh_key_is_trusted_before_it_is_used_and_for_a_while_after(store):
    used, let_in = [], []
    for rotate in ([], *[["rotated-ssh"]] * 3):
        entries = store(*rotate)[0]["rotated-ssh"]
        used.append(entries["public_key"])
        let_in.append(set(rotation.trusted(entries, "public_key").values()))
    assert used[0] == used[1] != used[2] == used[3]
    assert [len(keys) for keys in let_in] == [1, 2, 2, 1]
    assert all({before, after} <= keys for before, after, keys in zip(used, used[1:3], let_in[1:3], strict=False))


def test_the_old_api_key_is_kept_with_its_end(store):
    old, new = store()[0]["rotated-api"], store("rotated-api")[0]["rotated-api"]
    assert new["api_key"] != old["api_key"] == new["previous_api_key"]
    assert len(new["api_key"]) == 40
    left = rotation.keys.datetime.datetime.fromisoformat(new["previous_until"]) - rotation.keys.now()
    assert 3500 < left.total_seconds() <= 3600
    assert not any(row["changed"] for row in store()[2]["results"])


def test_a_check_knows_api_keys_by_their_hashes_and_reads_none(store, engine):
    def read() -> int:
        ident = engine.session.resolve(SECRET, {"name": "rotated-api"})
        got = [e for e in engine.cloud.journal.entries() if e["method"].endswith("PayloadService.Get")]
        return sum(entry["secret_id"] == ident for entry in got)

    for rotate in ([], ["rotated-api"]):
        entries, _, did = store(*rotate)
        before = read()
        would = store(check=True)[2]
        assert read() == before + 1, "only the test itself has read it"
        known = [entries["rotated-api"]["api_key"], entries["rotated-api"].get("previous_api_key")]
        hashes = [hashlib.sha256(key.encode()).hexdigest() for key in known if key]
        assert [text.split()[0] for text in would["public"]["rotated-api"]] == hashes
        assert would["public"] == did["public"] and would["rotating"] == did["rotating"]
        assert not any(row["changed"] for row in would["results"])
    assert would["public"]["rotated-api"][1].split()[1] == entries["rotated-api"]["previous_until"]
    (row,) = store("rotated-api", check=True)[2]["results"]
    assert row["changed"] and "rotated" in row["why"]


def test_a_certificate_is_new_when_asked_and_check_mode_changes_nothing(store):
    before = store()[0]
    planned = store("rotated-leaf", "rotated-ssh", check=True)
    assert planned[0] == before
    assert sorted(row["item"].split()[-1] for row in planned[2]["results"] if row["changed"]) == [
        "rotated-leaf",
        "rotated-ssh",
    ]
    after = store("rotated-leaf")[0]
    assert after["rotated-leaf"] != before["rotated-leaf"]
    assert {name: after[name] for name in DECLARED if name != "rotated-leaf"} == {
        name: before[name] for name in DECLARED if name != "rotated-leaf"
    }


def test_no_private_part_is_said(store):
    everything = []
    for rotate in ([], ["rotated-ca", "rotated-ssh", "rotated-api"], ["rotated-ca", "rotated-ssh"]):
        entries, said, answer = store(*rotate)
        secrets = [
            text
            for secret in entries.values()
            for name, text in secret.items()
            if name.endswith(("private_key", "api_key"))
        ]
        everything += secrets
        shown = said + json.dumps(answer, default=str)
        assert not [text for text in everything if text in shown or json.dumps(text)[1:-1] in shown]
    assert len(set(everything)) >= 8


def test_a_key_that_is_not_declared_is_refused_with_the_nearest_name(store):
    store()
    with pytest.raises(Fail, match=r"rotate: rotated-cap: not declared here \(did you mean rotated-ca\?\)"):
        store("rotated-cap")


def test_a_generated_secret_is_made_anew_when_asked(engine):
    secret = {"name": "rotated-password", "generate": {"key": "password", "length": 32}}

    def value():
        return engine.session.secret(engine.session.resolve(SECRET, {"name": "rotated-password"}), "password")

    engine.build([{"lockbox_secret": secret}])
    try:
        first = value()
        assert not engine.apply("lockbox_secret", secret)["changed"] and value() == first
        asked = {**secret, "update_secrets": True}
        assert engine.apply("lockbox_secret", asked, check=True)["changed"] and value() == first
        assert engine.apply("lockbox_secret", asked)["changed"]
        assert len(value()) == 32 and value() != first
    finally:
        engine.demolish([{"lockbox_secret": {"name": "rotated-password"}}])

"""Acceptance: what is refused before anything is touched, what a report hides, and what a signature is worth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from stagecraft.accept import needs, rights, signing
from stagecraft.accept.report import Report, Step, hidden
from stagecraft.stages import Refused, Stage

ROOT = Path(__file__).resolve().parents[3]
MVP, CLOUD, ACCOUNT = Stage("mvp"), "b1gcloud", "ajeaccount"


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "somebody", "-f", str(file)], check=True)
    return file


@pytest.fixture
def report(tmp_path, key):
    """A signed report."""
    file = tmp_path / "report.md"
    told = Report("mvp", "Yandex Cloud", "api", "2026-05-01", "2 hours", [Step("Build", 1.0, "done")], 3)
    file.write_text(signing.signed(told.text(), key))
    return file


def run(tmp_path, *arguments, **variables):
    """The command in a home and state folder of its own and without credentials."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("YC_", "STAGECRAFT_")) and k != "STAGE"}
    environment = plain | {"STAGECRAFT_STATE": str(tmp_path / "state"), "HOME": str(tmp_path), **variables}
    words = [sys.executable, "-m", "stagecraft", "accept", *arguments]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "state").exists()
    return done


TOKEN = {"YC_IAM_TOKEN": "t1.x", "YC_ENDPOINT": "127.0.0.1:9"}


@pytest.mark.parametrize(("words", "more", "code", "says"), [
    ([""], {}, 2, "No stage named"),
    (["mpv"], {}, 2, "Did you mean mvp?"),
    (["mvp", "--cap", "-1"], {}, 2, "--cap is '-1'; it has to be an amount that is not negative"),
    (["mvp", "--cap", "nan"], {}, 2, "--cap is 'nan'"),
    (["mvp", "--hours", "0"], {}, 2, "--hours is 0: there is no time"),
    (["mvp", "--hours", "soon"], {}, 2, "--hours is 'soon'"),
    (["partners", "--cap", "1"], TOKEN, 3, "more than the cap of 1 USD. Nothing was touched. Raise it (--cap 3)"),
    (["mvp"], {}, 1, "no credentials are set"),
    (["mvp", "--to", "docs"], {}, 2, "docs cannot be written: --to names the file"),
    (["mvp", "--where", "cloud"], TOKEN, 2, "--cloud-id <id>, or set YC_CLOUD_ID"),
])  # fmt: skip
def test_what_cannot_be_is_one_message(tmp_path, key, words, more, code, says):
    done = run(tmp_path, *words, "--key", str(key), **more)
    assert done.returncode == code and says in done.stderr, done.stderr


@pytest.mark.parametrize(("words", "says"), [
    ([], "There is no key to sign the report with (none of"),
    (["--key", "/nonexistent"], "There is no key to sign the report with (/nonexistent)"),
    (["--key", str(ROOT / "README.md")], "README.md does not sign: "),
])  # fmt: skip
def test_without_a_key_nothing_is_begun(tmp_path, words, says):
    done = run(tmp_path, "mvp", *words, **TOKEN)
    assert done.returncode == 2 and says in done.stderr


def test_hours_cost_their_part_of_a_month(tmp_path, key):
    command = [sys.executable, "-m", "stagecraft", "cost", "partners", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    month = Decimal(json.loads(done.stdout)[0]["monthly"])
    hours = (month / 730 * 10).quantize(Decimal("0.01"))
    words = ("partners", "--hours", "10", "--key", str(key))
    assert f"10 hours of partners cost about {hours} USD" in run(tmp_path, *words, **TOKEN).stderr
    assert "In which cloud?" in run(tmp_path, *words, "--cap", str(hours), "--where", "cloud", **TOKEN).stderr


# ---- rights ----
ALL = [[role, "serviceAccount", ACCOUNT] for role in rights.STAGE_ROLES]


@pytest.mark.parametrize("bindings", [
    [["admin", "serviceAccount", ACCOUNT]], [["resource-manager.clouds.owner", "serviceAccount", ACCOUNT]], ALL,
    [["viewer", "serviceAccount", ACCOUNT], *ALL],
    [["iam.admin", "serviceAccount", ACCOUNT], *(one for one in ALL if not one[0].startswith("iam."))],
])  # fmt: skip
def test_roles_that_are_enough(bindings):
    unread: dict[str, str] = {}
    rights.refuse_without(CLOUD, ACCOUNT, bindings, unread)
    assert not unread


@pytest.mark.parametrize(("bindings", "lacking"), [
    ([], ", ".join(rights.STAGE_ROLES)), ([["admin", "serviceAccount", "ajeother"]], "api-gateway.editor"),
    (ALL[1:], "on the cloud: api-gateway.editor\n"), ([["editor", "serviceAccount", ACCOUNT]], "resource-manager.admin"),
])  # fmt: skip
def test_a_role_that_is_lacking_is_named(bindings, lacking):
    with pytest.raises(Refused) as caught:
        rights.refuse_without(CLOUD, ACCOUNT, bindings, {})
    assert lacking in str(caught.value) and f"add-access-binding {CLOUD} --role admin" in str(caught.value)


@pytest.mark.parametrize(("account", "bindings", "unread", "says"), [
    ("", ALL, {}, "these credentials do not say whose they are"),
    (ACCOUNT, [], {"the roles on the cloud": "PERMISSION_DENIED"}, "it may have them by the roles on the cloud"),
    (ACCOUNT, [["admin", "group", "ajegroup"]], {}, "it may have them by groups"),
])  # fmt: skip
def test_what_cannot_be_known_is_said_and_refuses_nothing(account, bindings, unread, says):
    rights.refuse_without(CLOUD, account, bindings, unread)
    assert says in unread[rights.ACCOUNT]


# ---- quotas ----
def test_every_quota_that_is_too_small_is_named_with_the_command_that_asks_for_more():
    needed = {
        "vpc.networks.count": 1,
        "compute.ssdDisks.size": 150 << 30,
        "compute.disks.count": 2,
        "mdb.clusters.count": 9,
    }
    told = {"vpc.networks.count": [2, 2], "compute.ssdDisks.size": [200 << 30, 100 << 30], "compute.disks.count": [2, 0],
            "mdb.clusters.count": [None, 3]}  # fmt: skip
    with pytest.raises(Refused) as caught:
        needs.refuse_what_does_not_fit(MVP, CLOUD, needed, told)
    said = str(caught.value)
    assert "vpc.networks.count: 1 needed, 0 left of 2" in said and "150 GB needed, 100 GB left of 200 GB" in said
    assert f"--resource-id {CLOUD} --desired-limit quota-id=vpc.networks.count,value=3 --desired-limit" in said
    assert "compute.disks" not in said and "mdb" not in said and "Nothing was touched" in said
    needs.refuse_what_does_not_fit(MVP, CLOUD, needed, {})


# ---- reports ----
def test_a_report_hides_what_is_nobody_s_business():
    told = hidden(
        f"folder b1g2abcde3fghjk4mnop at 51.250.1.2 in {Path.home()}/.ssh: t1.9euelZ-abc and y0_AgAAAA; quotamanagers"
    )
    assert told == "folder <id> at <address> in ~/.ssh: <secret> and <secret>; quotamanagers"


def test_a_failure_and_what_is_left_are_told():
    report = Report("mvp", "Yandex Cloud", "api", "2026", "2 hours", [Step("Build", 75, "failed")])
    report.failure, report.left, report.unread = (
        "It failed.\nWhy.",
        "the folder x",
        {"the folders": "PERMISSION_DENIED"},
    )
    text = report.text()
    assert text.startswith("# Acceptance of mvp: NOT accepted\n") and "| Build | 1m15s | failed |" in text
    assert "    It failed.\n    Why.\n" in text and "| left in the cloud | the folder x |" in text
    assert "- the folders: PERMISSION_DENIED" in text


# ---- signatures ----
def test_a_signature_is_checked_and_says_whose_it_is(report, key, tmp_path):
    fingerprint = subprocess.run(["ssh-keygen", "-lf", str(key)], capture_output=True, text=True).stdout.split()[1]
    assert fingerprint in signing.verified(report, None)
    signers = tmp_path / "signers"
    signers.write_text(f"somebody@example.com {key.with_suffix('.pub').read_text()}")
    assert "somebody@example.com" in signing.verified(report, signers)


def test_the_commands_of_the_page_check_it_without_this_checkout(report):
    page = (ROOT / "docs" / "accept.md").read_text()
    first, second = (line.strip() for line in page.splitlines() if line.startswith(("    sed ", "    ssh-keygen ")))
    done = subprocess.run(["bash", "-c", f"{first}\n{second}"], cwd=report.parent, capture_output=True, text=True)
    assert done.stdout.startswith('Good "stagecraft-accept" signature'), done.stderr


@pytest.mark.parametrize(("old", "new", "says"), [
    ("| 3 |", "| 4 |", "the signature is not of this text"),
    ("# Acceptance", "Fine.\n# Acceptance", "the signature is not of this text"),
    ("-----END", "-----ENDE", "has no signature"),
    ("-----END SSH SIGNATURE-----\n```\n", "-----END SSH SIGNATURE-----\n```\nand more\n", "something stands after"),
])  # fmt: skip
def test_a_report_that_was_changed_is_not_believed(report, old, new, says):
    text = report.read_text()
    assert old in text
    report.write_text(text.replace(old, new))
    with pytest.raises(Refused, match=says):
        signing.verified(report, None)


def test_a_key_that_nobody_allowed_is_refused(report, tmp_path):
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"somebody@example.com {other.with_suffix('.pub').read_text()}")
    with pytest.raises(Refused, match="signed by a key that .* does not have"):
        signing.verified(report, signers)
    with pytest.raises(Refused, match="no file"):
        signing.verified(report, tmp_path / "none")


@pytest.mark.parametrize(("words", "says"), [
    (["--verify", "/nonexistent"], "/nonexistent: No such file or directory"),
    (["--verify", str(ROOT / "README.md")], "README.md has no signature"),
    (["--verify", str(ROOT / "docs" / "images")], "Is a directory"),
])  # fmt: skip
def test_what_is_no_report_is_one_message(tmp_path, words, says):
    done = run(tmp_path, *words)
    assert done.returncode == 1 and says in done.stderr

"""Validators see the new files at their real paths; when one refuses, or a rename fails, everything is as it was."""

import os
import subprocess

import pytest

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0
        or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0,
        reason="private mount namespaces need root",
    ),
]


@pytest.fixture
def old(host):
    """A converged tree: two files and a folder."""
    host.apply(host.file("/etc/demo/a", "old a\n"), host.file("/etc/demo/b", "old b\n"))
    return host.content()


def test_the_new_files_are_seen_and_the_old_ones_stay(host, old):
    seen = host.folder / "seen"
    command = f"cd {host.path('/etc/demo')}; (cat a sub/c; ls b; stat -c '%a %u' sub/c sub) > {seen} 2>&1; exit 3"
    items = [host.file("/etc/demo/a", "new a\n"), host.file("/etc/demo/sub/c", "new c\n", mode=0o600)]
    for check in (True, False):
        done = host.apply(*items, validate=[command], check=check)
        assert done["failed"] and "nothing was changed" in done["msg"] and "ended with 3" in done["msg"]
        assert host.content() == old
        lines = seen.read_text().split("\n")
        assert lines[:2] == ["new a", "new c"] and "No such file" in lines[2]  # b leaves the tree
        assert lines[3:5] == ["600 0", "755 0"]


def test_a_refused_run_owns_what_it_owned_before(host, old):
    host.apply(host.file("/etc/demo/a"), host.file("/etc/demo/new"), validate=["false"])
    assert not host.apply(host.file("/etc/demo/new"), name="other").get("failed")
    assert not host.apply(host.file("/etc/demo/a", "old a\n"), host.file("/etc/demo/b", "old b\n"))["changed"]


def test_every_validator_is_asked_and_the_first_refusal_speaks(host, old):
    log = host.folder / "log"
    commands = [
        f"echo first >> {log}",
        f"echo second >> {log}; echo words of the second; false",
        f"echo third >> {log}",
    ]
    done = host.apply(host.file("/etc/demo/a", "new\n"), validate=commands)
    assert "words of the second" in done["msg"] and log.read_text() == "first\nsecond\n"
    assert host.content() == old


def test_nothing_to_change_asks_nobody(host, old):
    done = host.apply(host.file("/etc/demo/a", "old a\n"), host.file("/etc/demo/b", "old b\n"), validate=["false"])
    assert not done.get("failed") and not done["changed"]


def test_secrets_are_not_repeated(host):
    secret = host.file("/key", "password: hunter2\n", mode=0o600, masks=["hunter2"])
    done = host.apply(secret, validate=[f"cat {host.path('/key')}; exit 1"])
    assert "password: ********" in done["msg"] and "hunter2" not in str(done)


def test_a_validator_that_hangs_is_ended(host):
    done = host.apply(host.file("/a"), validate=[{"command": "sleep 60", "timeout": 1}])
    assert "did not end within 1 s" in done["msg"]


def test_a_validator_that_is_not_installed(host):
    """Check mode cannot ask what an earlier task would have installed; a real run must."""
    command = ["no-such-validator --test"]
    predicted = host.apply(host.file("/a"), validate=command, check=True)
    assert predicted["changed"] and "not installed yet" in str(predicted["warnings"])
    assert host.apply(host.file("/a"), validate=command)["failed"]


def test_a_refused_namespace_is_not_called_a_failed_validation(host):
    without = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
    done = host.apply(host.file("/a"), validate=["true"], wrap=without)
    assert "namespace for validation was refused" in done["msg"] and "validation failed" not in done["msg"]
    assert host.content() == {}


def mounted(host, name):
    """Run the module where something is mounted at `name`, as in a container's /etc/hosts."""
    script = 'mount --bind "$1" "$1" && shift && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", str(host.path(name))]


def test_what_is_mounted_below_stays_visible(host, old):
    (host.path("/etc/demo/mounted")).write_text("from the mount\n")
    command = f"grep -q 'from the mount' {host.path('/etc/demo/mounted')} && grep -q 'new a' {host.path('/etc/demo/a')}"
    done = host.apply(host.file("/etc/demo/a", "new a\n"), validate=[command], wrap=mounted(host, "/etc/demo/mounted"))
    assert not done.get("failed"), done["msg"]


def test_when_one_rename_fails_everything_is_put_back(host, old):
    """`b` is a mount point there, which the kernel refuses to rename over; `a` was renamed before, `new` made, `z` made."""
    items = [
        host.item("dir", "/etc/demo/folder", mode=0o700),
        *(host.file(f"/etc/demo/{name}", "new\n") for name in ("a", "aa/deep/new", "b", "z")),
    ]
    done = host.apply(*items, wrap=mounted(host, "/etc/demo/b"))
    assert done["failed"] and str(host.path("/etc/demo/b")) in done["msg"] and "put back" in done["msg"]
    assert host.content() == old
    assert not host.apply(host.file("/etc/demo/z"), name="other").get("failed")


def test_a_removal_is_put_back_too(host, old):
    host.apply(*(host.file(f"/etc/demo/{name}", f"old {name}\n") for name in ("a", "b", "c")))
    before = host.content()
    done = host.apply(host.file("/etc/demo/a", "new\n"), wrap=mounted(host, "/etc/demo/c"))
    assert done["failed"] and host.content() == before

"""Where a tree may write, and how links are treated. Races are played by a user who may write in one folder."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="another user's files need root to make")
STRANGER = 65534


def test_a_path_outside_the_root_is_refused(host):
    outside = {**host.file("/x"), "path": str(host.folder / "elsewhere")}
    done = host.apply(outside)
    assert done["failed"] and "is outside" in done["msg"]
    assert not (host.folder / "elsewhere").exists()


@pytest.mark.parametrize("path", ["relative", "/../x", "/a/../../x", "/line\nbreak"])
def test_odd_paths_are_refused(host, path):
    done = host.apply({**host.file("/x"), "path": f"{host.root}{path}" if path.startswith("/") else path})
    assert done["failed"]
    assert host.content() == {}


@pytest.mark.parametrize("target", ["../elsewhere", "{folder}/elsewhere"])
def test_a_link_that_leads_out_of_the_root_is_refused(host, target):
    (host.folder / "elsewhere").mkdir()
    host.path("/etc").symlink_to(target.format(folder=host.folder))
    done = host.apply(host.file("/etc/a"), host.item("dir", "/etc/b"))
    assert done["failed"] and "leads through a symbolic link to" in done["msg"]
    assert list((host.folder / "elsewhere").iterdir()) == []


def test_a_link_inside_the_root_is_followed(host):
    host.path("/usr").mkdir()
    host.path("/usr/lib").mkdir()
    host.path("/lib").symlink_to("usr/lib")
    assert host.apply(host.file("/lib/deep/x", "1"))["changed"]
    assert host.path("/usr/lib/deep/x").read_text() == "1"


def test_a_link_at_the_end_is_replaced_not_followed(host):
    victim = host.folder / "victim"
    victim.write_text("precious")
    host.path("/a").symlink_to(victim)
    host.apply(host.file("/a", "ours"))
    assert victim.read_text() == "precious" and host.path("/a").read_text() == "ours"
    assert not host.path("/a").is_symlink()


def test_links_in_a_circle_are_refused(host):
    host.path("/a").symlink_to("b")
    host.path("/b").symlink_to("a")
    assert "too many symbolic links" in host.apply(host.file("/a/x"))["msg"]


def test_a_file_on_the_way_is_named(host):
    host.path("/a").write_text("")
    assert f"{host.path('/a')} is not a directory" in host.apply(host.file("/a/x"))["msg"]


@ROOT_ONLY
def test_a_link_that_another_user_placed_is_not_followed(host):
    host.path("/home").mkdir()
    os.chown(host.path("/home"), STRANGER, STRANGER)
    host.path("/etc").mkdir()
    host.path("/home/config").symlink_to("../etc")
    os.chown(host.path("/home/config"), STRANGER, STRANGER, follow_symlinks=False)
    done = host.apply(host.file("/home/config/shadow", "x"))
    assert done["failed"] and "another user may have placed" in done["msg"]
    assert host.content() == {"home": "/", "etc": "/", "home/config": "-> ../etc"}


@ROOT_ONLY
def test_a_link_in_a_folder_that_everybody_writes_is_not_followed(host):
    host.path("/tmp").mkdir()
    host.path("/tmp").chmod(0o1777)
    host.path("/etc").mkdir()
    host.path("/tmp/x").symlink_to("../etc")
    assert "another user may have placed" in host.apply(host.file("/tmp/x/a"))["msg"]


ATTACK = f"""
import os
os.setuid({STRANGER})
while True:
    try:
        os.mkdir("config")
        os.rename("config", "folder")
        os.symlink("../etc", "config")
        os.unlink("config")
    except OSError:
        pass
    os.system("rm -rf folder config")
"""


@ROOT_ONLY
def test_a_folder_swapped_for_a_link_while_the_module_runs_gains_nothing(host):
    """A user swaps a folder of its own for a link to /etc, over and over, while root writes below it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as open_to_all:
        Path(open_to_all).chmod(0o755)
        host.folder = Path(open_to_all)
        for name in ("/", "/home", "/etc"):
            host.path(name).mkdir()
        os.chown(host.path("/home"), STRANGER, STRANGER)
        attacker = subprocess.Popen([sys.executable, "-c", ATTACK], cwd=host.path("/home"), stderr=subprocess.DEVNULL)
        try:
            for _ in range(6):
                host.apply(host.file("/home/config/shadow", "x"))
        finally:
            attacker.kill()
            attacker.wait()
        assert list(host.path("/etc").iterdir()) == []

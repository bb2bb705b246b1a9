"""Files come, change, and go as the tree says; check mode tells it exactly, and changes nothing."""

import os
import stat

import pytest


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_fresh_tree(host):
    items = [
        host.item("dir", "/etc/demo/private", mode=0o700),
        host.file("/etc/demo/main.conf", "one\n"),
        host.file("/etc/demo/private/key", "secret\n", mode=0o600),
        host.item("link", "/etc/demo/current", link="main.conf"),
    ]
    paths = [
        f"{host.path('/etc/demo/private')}/",
        *(str(host.path(f"/etc/demo/{n}")) for n in ("main.conf", "private/key", "current")),
    ]
    predicted = host.apply(*items, check=True)
    assert predicted["changed"] and predicted["changed_paths"] == paths
    assert host.content() == {} and not (host.folder / "manifests").exists()
    done = host.apply(*items)
    assert (done["changed_paths"], done["diff"]) == (paths, predicted["diff"])
    assert host.content() == {
        "etc": "/", "etc/demo": "/", "etc/demo/private": "/", "etc/demo/main.conf": "one\n",
        "etc/demo/private/key": "secret\n", "etc/demo/current": "-> main.conf",
    }  # fmt: skip
    assert mode(host.path("/etc/demo/private")) == 0o700 and mode(host.path("/etc/demo/private/key")) == 0o600
    again = host.apply(*items)
    assert not again["changed"] and again["changed_paths"] == [] and again["diff"] == []


def test_parents_that_are_made_have_a_sane_mode(host):
    host.apply(host.item("dir", "/var/lib/demo/deep", mode=0o700), host.file("/opt/demo/file"), dir_mode=0o751)
    for parent in ("/var", "/var/lib", "/var/lib/demo", "/opt", "/opt/demo"):
        assert mode(host.path(parent)) == 0o751, parent
    assert mode(host.path("/var/lib/demo/deep")) == 0o700


def test_a_changed_mode_is_a_change_and_another_name_of_the_file_keeps_its_own(host):
    host.apply(host.file("/a", "same\n"))
    os.link(host.path("/a"), host.path("/other"))
    done = host.apply(host.file("/a", "same\n", mode=0o640))
    assert done["changed_paths"] == [str(host.path("/a"))]
    (diff,) = done["diff"]
    assert diff["before"].endswith(" 0644\n") and diff["after"].endswith(" 0640\n")
    assert mode(host.path("/a")) == 0o640 and mode(host.path("/other")) == 0o644


def test_the_diff_shows_content_and_hides_secrets(host):
    host.apply(host.file("/open", "old\n"), host.file("/closed", "old password\n", mode=0o640))
    done = host.apply(host.file("/open", "new\n"), host.file("/closed", "new password\n", mode=0o640))
    shown, hidden = done["diff"]
    assert (shown["before"], shown["after"]) == ("old\n", "new\n")
    assert "password" not in str(hidden) and hidden["before"] != hidden["after"]
    opened = host.apply(host.file("/closed", "third\n", mode=0o640, secret=False))
    assert opened["diff"][0]["after"] == "third\n"


def test_without_diff_no_content_is_returned(host):
    assert "diff" not in host.apply(host.file("/a", "content\n"), diff=False)


def test_a_secret_that_becomes_readable_is_still_hidden(host):
    host.apply(host.file("/a", "secret\n", mode=0o600))
    (diff,) = host.apply(host.file("/a", "public\n", mode=0o644))["diff"]
    assert "secret" not in diff["before"]


def test_what_is_no_longer_in_the_tree_is_removed(host):
    host.path("/etc").mkdir()
    host.path("/etc/foreign").write_text("not ours\n")
    host.apply(host.file("/etc/a"), host.file("/etc/b"), host.item("link", "/etc/c", link="a"))
    predicted = host.apply(host.file("/etc/a"), check=True)
    assert predicted["changed_paths"] == [str(host.path("/etc/b")), str(host.path("/etc/c"))]
    assert host.apply(host.file("/etc/a"))["changed_paths"] == predicted["changed_paths"]
    assert host.content() == {"etc": "/", "etc/a": "", "etc/foreign": "not ours\n"}
    assert not host.apply(host.file("/etc/a"))["changed"]


def test_a_path_has_one_owner(host):
    host.apply(host.file("/etc/shared", "first\n"), name="first")
    done = host.apply(host.file("/etc/shared", "second\n"), name="second")
    assert done["failed"] and "belongs to the tree first" in done["msg"]
    assert host.path("/etc/shared").read_text() == "first\n"
    host.apply(name="first")
    assert not host.apply(host.file("/etc/shared", "second\n"), name="second").get("failed")


def test_two_names_of_one_file_in_one_tree(host):
    host.path("/usr").mkdir()
    host.path("/usr/lib").mkdir()
    host.path("/lib").symlink_to("usr/lib")
    done = host.apply(host.file("/lib/x", "1"), host.file("/usr/lib/x", "2"))
    assert done["failed"] and "are the same file" in done["msg"]


def test_a_folder_that_became_a_link_loses_nothing(host):
    """The manifest holds real paths: the file is still wanted, though it lies elsewhere now."""
    host.apply(host.file("/etc/demo/a", "kept\n"))
    host.path("/srv").mkdir()
    host.path("/etc/demo").rename(host.path("/srv/demo"))
    host.path("/etc/demo").symlink_to("../srv/demo")
    done = host.apply(host.file("/etc/demo/a", "kept\n"))
    assert not done["changed"] and host.path("/srv/demo/a").read_text() == "kept\n"


@pytest.mark.parametrize("check", [True, False])
def test_an_unknown_owner(host, check):
    """In check mode an earlier task may be about to make the user."""
    done = host.apply(host.file("/a", owner="nobody-has-this-name"), check=check)
    if check:
        assert done["changed"] and "not made yet" in str(done["diff"])
    else:
        assert done["failed"] and "there is no owner named nobody-has-this-name" in done["msg"]
        assert host.content() == {}


@pytest.mark.parametrize(
    ("there", "wanted"), [("dir", "file"), ("file", "dir"), ("fifo", "file"), ("dir", "removed")], ids=lambda kind: kind
)
def test_what_is_in_the_way_is_not_destroyed(host, there, wanted):
    if wanted == "removed":
        host.apply(host.file("/x"))
        host.path("/x").unlink()
    {"dir": host.path("/x").mkdir, "file": host.path("/x").touch, "fifo": lambda: os.mkfifo(host.path("/x"))}[there]()
    items = [] if wanted == "removed" else [host.item("dir", "/x") if wanted == "dir" else host.file("/x")]
    done = host.apply(*items)
    assert done["failed"] and str(host.path("/x")) in done["msg"] and "move it away first" in done["msg"]


def test_a_damaged_manifest_is_named(host):
    host.apply(host.file("/a"))
    (host.folder / "manifests" / "demo.json").write_text("{")
    assert "demo.json is damaged" in host.apply(host.file("/a"))["msg"]


def test_a_run_that_died_half_way_is_finished_by_the_next(host):
    host.apply(host.file("/a", "old\n"))
    host.path("/.a.config-tree-new").write_text("half")
    host.path("/.a.config-tree-old").write_text("old\n")
    host.apply(host.file("/a", "new\n"))
    assert host.content() == {"a": "new\n"}

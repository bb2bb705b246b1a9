"""What the tree brought answers, and what was refused has left no trace."""


def test_the_pages_are_served(host):
    for path, says in (("", "first"), ("one.html", "first"), ("two.html", "second")):
        assert host.check_output(f"curl --silent --fail http://127.0.0.1:8000/{path}") == f"<p>{says}</p>"


def test_what_was_refused_is_not_there(host):
    assert host.run("curl --silent --fail http://127.0.0.1:8000/three.html").rc == 22
    assert host.check_output("ls -A /srv/answer").split() == ["index.html", "one.html", "two.html"]


def test_owners_and_modes(host):
    assert host.check_output("stat -c '%U:%G %a' /etc/answer/secret /srv/answer /srv/answer/one.html").split("\n") == [
        "root:daemon 640",
        "root:daemon 750",
        "root:root 644",
    ]
    assert host.run("su nobody -s /bin/sh -c 'cat /etc/answer/secret'").rc != 0


def test_nothing_of_validation_is_left(host):
    assert "config-tree" not in host.check_output("cat /proc/mounts; ls -A /run /etc/answer")


def test_the_secret_reached_no_log(journal):
    assert "a-password-for-tests" not in journal()

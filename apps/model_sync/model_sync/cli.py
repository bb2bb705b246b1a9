"""The command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from model_sync import settings
from model_sync.errors import SyncError
from model_sync.publish import publish
from model_sync.pull import pull
from model_sync.store import REGION, Address, Store

CONFIG = Path("/etc/model-sync/config.json")


def main(argv: list[str] | None = None) -> None:
    """Run one command; print its report as JSON. Exit status 1 with one message on standard error when it failed."""
    arguments = _parser().parse_args(argv)
    try:
        if getattr(arguments, "key_from_stdin", False):
            take_key(sys.stdin.read())
        if arguments.command == "publish":
            report = publish(arguments.folder, Store(address(arguments.url)), check=arguments.check)
            for model, numbers in report["kept"].items():
                said = "is published with other bytes of the same source, and stays as it is"
                print("\n".join(f"model-sync: {model} version {number} {said}." for number in numbers), file=sys.stderr)
        elif arguments.command == "empty":
            deleted = Store(address(arguments.url)).empty(check=arguments.check)
            report = {"changed": deleted > 0, "deleted": deleted}
        else:
            report = pull(settings.read(arguments.config), check=arguments.check)
    except (SyncError, OSError) as error:
        if arguments.result:
            arguments.result.write_text(json.dumps({"error": str(error)}) + "\n")
        raise SystemExit(f"model-sync: {error}") from error
    text = json.dumps(report, sort_keys=True)
    print(text)
    if arguments.result:
        arguments.result.write_text(text + "\n")


def address(url: str) -> Address:
    """An `s3://bucket/prefix` with endpoint, region and authorities from the environment."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise SyncError(f"{url!r} is not an address like s3://bucket/models.")
    return Address(
        bucket=parts.netloc,
        prefix=parts.path.strip("/"),
        endpoint=os.environ.get("AWS_ENDPOINT_URL_S3"),
        region=os.environ.get("AWS_REGION", REGION),
        ca_bundle=os.environ.get("AWS_CA_BUNDLE"),
    )


def take_key(text: str) -> None:
    """Use the access key in a JSON object with `key_id` and `secret`. Raises SyncError where it is none."""
    try:
        key = json.loads(text)
        given = {"AWS_ACCESS_KEY_ID": key["key_id"], "AWS_SECRET_ACCESS_KEY": key["secret"]}
    except (ValueError, TypeError, KeyError):
        raise SyncError('Standard input is no access key like {"key_id": "...", "secret": "..."}.') from None
    os.environ.update(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="model-sync", description="Move models between a bucket and Triton.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("publish", help="upload new versions; a published one never changes")
    up.add_argument("folder", type=Path, help="folder with manifest.json and <model>/<version>/<file>")
    up.add_argument("url", help="s3://bucket/prefix")
    gone = commands.add_parser("empty", help="delete everything there, old versions too")
    gone.add_argument("url", help="s3://bucket or s3://bucket/prefix")
    down = commands.add_parser("pull", help="bring this machine's Triton to what is wanted")
    down.add_argument("--config", type=Path, default=CONFIG, help=f"settings ({CONFIG})")
    for command in (up, gone):
        command.add_argument(
            "--key-from-stdin", action="store_true", help='read {"key_id": ..., "secret": ...} from standard input'
        )
    for command in (up, gone, down):
        command.add_argument("--check", action="store_true", help="only say what would change")
        command.add_argument("--result", type=Path, help="write the report, or the error, to this file too")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])

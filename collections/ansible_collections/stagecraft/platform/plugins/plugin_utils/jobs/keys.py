"""Keys and certificates in the secret store: made where they are missing, renewed where they have grown old."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...module_utils import keys, rotation
from ...module_utils.declaration import Fail
from ...module_utils.options import read_all
from ...module_utils.resources import ALL
from ...module_utils.session import Session
from ...module_utils.stack import stack
from ...module_utils.values import nearest
from ...module_utils.yandex import SECRET
from ..connection import hidden
from .folder_contents import resources
from .stack import STAGE, refuse_another_stage

KIND = "lockbox_secret"
PUBLIC = {"ssh": "public_key", "ca": "certificate", "certificate": "certificate"}
SECRETS = ("private_key", "next_private_key", "api_key", "previous_api_key")
API_KEY = "api_key"  # the kind, and the entry in use
TO_COME = "(made when this runs)"  # an entry, in a check, of what does not exist yet
HASHES = ", "  # between the hashes of API keys, in the note of a secret's version
WORKERS = 16


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """Make, renew and rotate the declared keys.

    Returns `results` as the stack does; `public`, what may be shown of each, of an API key its hashes; `trusted`, the
    public parts that others have to trust in a rotation too; `rotating`, those that want another step.
    """
    answers.hide(hidden(request["connection"]))
    session = Session.from_options(request["connection"] | {"stage_labels": request["labels"]})
    session.notice = answers.notice
    mine, _ = resources(session, [KIND]) if request["labels"].get(STAGE) else ([], {})
    refuse_another_stage(session, request["labels"].get(STAGE, ""), mine)
    declared = request["keys"]
    check(declared, request["rotate"])
    there, hashed = stored(session, declared, request["check"])
    made = wanted(declared, there, request["rotate"])
    answers.hide(entries[name] for entries, _ in made.values() for name in SECRETS if name in entries)
    if request["check"]:  # what a check makes is nobody's: two of them must not differ
        made = {n: (dict.fromkeys(new, TO_COME) if n not in there else new, why) for n, (new, why) in made.items()}
    results = put(session, {name: entries for name, (entries, _) in made.items()}, request, answers)
    for row in results:
        row["why"] = made[row["item"].rpartition(" ")[2]][1]
    entries = there | {name: new for name, (new, _) in made.items()}
    hashed |= {n: rotation.hashes(new) for n, (new, _) in made.items() if declared[n]["kind"] == API_KEY}
    return {
        "results": results,
        "public": {n: entries[n][PUBLIC[k["kind"]]] for n, k in declared.items() if k["kind"] in PUBLIC} | hashed,
        "trusted": {
            n: list(rotation.trusted(entries[n], PUBLIC[k["kind"]]).values())
            for n, k in declared.items()
            if k["kind"] in PUBLIC
        },
        "rotating": [n for n, stored_now in entries.items() if rotation.in_progress(stored_now)],
    }


def check(declared: dict[str, dict], rotate: list[str]) -> None:
    """Raises Fail where a certificate's CA is not among the keys, and where a key to rotate is not."""
    if unknown := sorted(set(rotate) - set(declared)):
        raise Fail(f"rotate: {', '.join(unknown)}: not declared here{nearest(unknown[0], declared)}")
    for name, key in declared.items():
        if key["kind"] == "certificate" and declared.get(key.get("ca"), {}).get("kind") != "ca":
            raise Fail(f"keys: {name}: its ca {key.get('ca')!r} is not declared here as a key of kind ca")
        if key["kind"] == "certificate" and not key.get("names"):
            raise Fail(f"keys: {name}: a certificate needs names, the first of which is its common name")


def stored(
    session: Session, declared: dict[str, dict], check: bool
) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """The entries of the secrets that exist and have a version, and the hashes of API keys.

    A check reads no API key: the version's note has the hashes, and the entries are without their values."""

    def one(name: str) -> tuple[dict[str, str], list[str]]:
        found = session.resolve(SECRET, {"name": name})
        api_key = declared[name]["kind"] == API_KEY
        if found and check and api_key and (version := session.current_version(found)).description:
            return dict.fromkeys(version.payload_entry_keys, ""), version.description.split(HASHES)
        entries = session.payload(found) if found else {}
        return entries, rotation.hashes(entries) if api_key and entries else []

    with ThreadPoolExecutor(WORKERS) as pool:
        rows = dict(zip(declared, pool.map(one, declared), strict=True))
    return {n: entries for n, (entries, _) in rows.items() if entries}, {n: h for n, (_, h) in rows.items() if h}


def wanted(
    declared: dict[str, dict], there: dict[str, dict[str, str]], rotate: list[str]
) -> dict[str, tuple[dict[str, str], str]]:
    """New entries by name, and why they are new. Authorities come first, because certificates need them."""
    made: dict[str, tuple[dict[str, str], str]] = {}
    for name, key in sorted(declared.items(), key=lambda item: item[1]["kind"] == "certificate"):
        if key["kind"] == "certificate":
            ca = made[key["ca"]][0] if key["ca"] in made else there[key["ca"]]
            why = keys.why_renew(there[name], key["names"], ca) if name in there else "it does not exist"
            why = why or ("rotated" if name in rotate else "")
            if why:
                made[name] = keys.leaf(key["names"], ca), why
        elif name not in there:
            made[name] = rotation.MAKERS[key["kind"]](name, key), "it does not exist"
        elif name in rotate:
            made[name] = rotation.step(name, key, there[name])
    return made


def put(session: Session, entries: dict[str, dict[str, str]], request: dict, answers: Any) -> list[dict]:
    """Store new versions; rows as the stack returns them. Raises Fail where one failed."""
    declarations = [
        {"lockbox_secret": {"name": n, "entries": listed(e), "update_secrets": True, "version_description": note(e)}}
        for n, e in entries.items()
    ]
    items, _ = read_all(declarations, ALL, session)
    results = stack(items, session, request["check"], WORKERS, answers.event)
    if errors := [row["error"] for row in results if "error" in row]:
        raise Fail("; ".join(errors))
    return results


def note(values: dict[str, str]) -> str:
    """What may be known of a key without reading it: of an API key its hashes."""
    if values.get(API_KEY) == TO_COME:
        return TO_COME
    return HASHES.join(rotation.hashes(values)) if API_KEY in values else ""


def listed(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "text": text} for key, text in values.items()]

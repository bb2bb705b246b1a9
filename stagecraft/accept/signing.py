"""Signatures of reports, by `ssh-keygen -Y`: everybody who has SSH can make and check them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from stagecraft.stages import Refused

NAMESPACE = "stagecraft-accept"  # what is signed: a signature of something else is none of a report
KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
BEGIN, END = "-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"
FENCE = "```\n"


def key(named: Path | None) -> Path:
    """The key to sign with: the one that is named, else the first of the person's own, proved by signing something.

    Raises Refused where there is none, or it cannot be used."""
    own = [Path.home() / ".ssh" / name for name in KEYS]
    found = named or next((path for path in own if path.is_file()), None)
    if found is None or not found.is_file():
        raise Refused(
            f"There is no key to sign the report with ({named or f'none of {own[0].parent}/id_*'}). Nothing was touched."
            " Make one (`ssh-keygen -t ed25519`), or name it: --key <file>.",
            2,
        )
    signature("a trial", found)
    return found


def signature(text: str, by: Path) -> str:
    """The armoured signature of a text. Raises Refused with ssh-keygen's words."""
    done = keygen("sign", "-f", str(by), "-n", NAMESPACE, text=text)
    if done.returncode or not done.stdout.startswith(BEGIN):
        why = said(done)
        raise Refused(
            f"{by} does not sign: {why}. Where it has a passphrase, hand it to ssh-agent first: ssh-add {by}", 2
        )
    return done.stdout


def signed(text: str, by: Path) -> str:
    """A text with its signature at the end, which is of everything before it. Raises Refused."""
    whole = f"{text}\n{FENCE}"
    return f"{whole}{signature(whole, by)}{FENCE}"


def verified(report: Path, signers: Path | None) -> str:
    """Who has signed a report: a fingerprint, and with a file of allowed signers who that is.

    Raises Refused where it is not signed, was changed, or is signed by nobody whom the file allows."""
    try:
        content = report.read_text()
    except UnicodeDecodeError:
        raise Refused(f"{report} is no report: it is no text.") from None
    text, begin, rest = content.partition(BEGIN)
    armour, end, after = rest.partition(END)
    if not (begin and end):
        raise Refused(
            f"{report} has no signature: it is not a report as `stagecraft accept` writes it, or not all of it."
        )
    if after.strip() != FENCE.strip():
        raise Refused(f"{report}: something stands after its signature, which nobody has signed. Do not believe it.")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "signature"
        file.write_text(begin + armour + end)
        told = checked(report, "check-novalidate", text, "-s", str(file))
        if signers is None:
            return told
        if not signers.is_file():
            raise Refused(f"There is no file {signers} of allowed signers (ssh-keygen(1), ALLOWED SIGNERS).", 2)
        who = keygen("find-principals", "-f", str(signers), "-s", str(file)).stdout.partition("\n")[0]
        if not who:
            raise Refused(f"{report} is signed by a key that {signers} does not have: {told}")
        return checked(report, "verify", text, "-s", str(file), "-f", str(signers), "-I", who)


def checked(report: Path, what: str, text: str, *options: str) -> str:
    """ssh-keygen's words on a good signature. Raises Refused for another one."""
    done = keygen(what, "-n", NAMESPACE, *options, text=text)
    if done.returncode:
        raise Refused(
            f"{report}: the signature is not of this text: it was changed after it was signed, or copied in part"
            f" ({said(done)}). Do not believe it."
        )
    return done.stdout.strip()


def keygen(what: str, *options: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run `ssh-keygen -Y`. Raises Refused where it is not installed."""
    try:
        return subprocess.run(["ssh-keygen", "-Y", what, *options], input=text, capture_output=True, text=True)
    except FileNotFoundError:
        raise Refused("ssh-keygen is not installed, and reports are signed by it: install openssh-client.", 2) from None


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that a program has said."""
    return ((done.stderr + done.stdout).strip().splitlines() or ["it said nothing"])[-1].rstrip(".")

"""Filling the folder of wheels from which a rehearsal's machines install Python programs."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from rehearsal.packages import wheel_folder
from rehearsal.world import WorldError

PYTHON = "3.11"  # of the machines: Debian 12
GLIBC = 36  # 2.36, Debian 12: wheels for it and for every older one fit
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(GLIBC, 4, -1)] + [
    f"manylinux{name}_x86_64" for name in ("2014", "2010", "1")
]
LIMIT = 900  # seconds for one download


@dataclass(frozen=True)
class Wanted:
    """One pinned requirement. Without hashes, any wheel of the version counts."""

    name: str
    version: str
    hashes: frozenset[str] = frozenset()

    @property
    def line(self) -> str:
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{item}" for item in sorted(self.hashes))])


@dataclass(frozen=True)
class Filled:
    """What a filling did."""

    seconds: float
    present: int
    downloaded: list[str] = field(default_factory=list)


def locks(root: Path) -> list[Path]:
    """The hash-locked requirement files of everything that machines install: of the applications and of the roles."""
    return sorted([*root.glob("apps/*/requirements*.lock"), *root.glob("roles/*/files/requirements*.lock")])


def fill(
    requirements: Iterable[Path],
    python: str = PYTHON,
    wheels: Iterable[str] = (),
    progress: Callable[[str], None] = lambda line: None,
) -> Filled:
    """Download what is missing of hash-locked requirement files, and of `wheels` (`name==version`), with the machine's
    own pip settings, for the machines' Python. Raises WorldError with pip's words."""
    begin = time.monotonic()
    folder = wheel_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # One download a file: two of them may pin different versions of one package.
    groups = [parse(path.read_text(), python, str(path)) for path in requirements]
    groups += [parse(line, python, "wheels") for line in wheels]
    present, downloaded = 0, []
    for group in groups:
        missing = [item for item in group if not _is_there(folder, item)]
        present += len(group) - len(missing)
        if missing:
            progress(f"downloading {len(missing)} wheels: {', '.join(item.name for item in missing)}")
            _download(folder, missing, python)
            downloaded += [item.name for item in missing]
    return Filled(time.monotonic() - begin, present, downloaded)


def parse(text: str, python: str, where: str) -> list[Wanted]:
    """The pinned requirements of a lock file that apply to the machines. Raises WorldError for a line that is none."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.2",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line:
            continue
        spec, *hashes = re.split(r"\s+--hash=sha256:", line)
        try:
            requirement = Requirement(spec)
        except InvalidRequirement as error:
            raise WorldError(f"{where}: {line!r} is no requirement: {error}") from None
        pins = [item.version for item in requirement.specifier if item.operator == "=="]
        if len(pins) != 1:
            raise WorldError(f"{where}: {requirement.name} is not pinned to one version")
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found.append(Wanted(canonicalize_name(requirement.name), pins[0], frozenset(h.strip() for h in hashes)))
    return found


def _is_there(folder: Path, wanted: Wanted) -> bool:
    for path in folder.glob("*.whl"):
        try:
            name, version, _, _ = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        if name == wanted.name and str(version) == wanted.version:
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if wanted.hashes else ""
            if not wanted.hashes or digest in wanted.hashes:
                return True
    return False


def _download(folder: Path, wanted: list[Wanted], python: str) -> None:
    """All at once, first into a folder of its own: a broken download leaves nothing half-made among the wheels."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".filling-") as fresh:
        listed = Path(fresh, "requirements.txt")
        listed.write_text("".join(f"{item.line}\n" for item in wanted))
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += [f"--dest={fresh}", f"--python-version={python}", "--implementation=cp", f"--requirement={listed}"]
        command += [f"--platform={platform}" for platform in PLATFORMS]
        if wanted[0].hashes:
            command.append("--require-hashes")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired:
            raise WorldError(
                f"pip downloads {len(wanted)} wheels for more than {LIMIT} s: is the index slow?"
            ) from None
        if done.returncode:
            raise WorldError(f"pip cannot download wheels for Python {python}: {done.stderr.strip()[-2000:]}")
        for path in Path(fresh).glob("*.whl"):
            path.rename(folder / path.name)

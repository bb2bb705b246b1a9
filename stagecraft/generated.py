"""Files that are made from declarations and committed: written where they are stale."""

from __future__ import annotations

from pathlib import Path

from stagecraft.stages import shown


def stale(wanted: dict[Path, str]) -> dict[Path, str]:
    """Those that are not what they should be, and what they should be."""
    return {file: new for file, new in wanted.items() if not file.exists() or file.read_text() != new}


def write(wanted: dict[Path, str]) -> list[Path]:
    """Write files; returns them as messages call them."""
    for file, new in wanted.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(new)
    return [shown(file) for file in wanted]

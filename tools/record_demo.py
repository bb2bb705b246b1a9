"""Run the demo in a terminal of its own and write docs/images/demo.cast (asciinema) and demo.svg from what it says.

The picture is the same text, which scrolls; nobody has to wait in it longer than `LONGEST` for the next line."""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import platform
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
TITLE = "make demo: a stage's cloud side from nothing to nothing"
WIDTH, HEIGHT = 92, 34  # characters
LONGEST, END = 1.2, 8.0  # seconds: between two lines, and of the last picture
CHARACTER, LINE, MARGIN = 8.4, 18, 14  # pixels
CODES = re.compile(r"\x1b\[([0-9;]*)m")
PRIVATE = re.compile(r"/(home|root|tmp|var|work|Users)/")  # no path of the machine that recorded it
LOOKS = {"1": "b", "36": "c"}  # of the codes that the demo uses
STYLE = """svg{background:#10151c}text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;
fill:#c9d4e0;white-space:pre}.b{font-weight:bold;fill:#fff}.c{fill:#58c4dc}"""


def record() -> list[tuple[float, str]]:
    """What the demo writes to a terminal, each piece with the seconds since its start. Exits where the demo fails."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    wanted = {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
    known = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    started, pieces, decode = time.monotonic(), [], codecs.getincrementaldecoder("utf-8")().decode
    command = [sys.executable, "-m", "stagecraft", "demo"]
    with subprocess.Popen(command, cwd=ROOT, env=known | wanted, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        while piece := read(ours):
            pieces.append((time.monotonic() - started, decode(piece)))
            sys.stdout.write(pieces[-1][1])
    if child.returncode:
        sys.exit(f"the demo failed (exit code {child.returncode}): nothing was written")
    return pieces


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the last writer is gone
        return b""


def cast(pieces: list[tuple[float, str]]) -> str:
    """The recording as asciinema takes it, version 2."""
    head = {"version": 2, "width": WIDTH, "height": HEIGHT, "title": TITLE, "idle_time_limit": LONGEST}
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in (head, *([t, "o", s] for t, s in pieces)))


def rows(line: str) -> list[str]:
    """A line as rows of a terminal, each the content of a <text>."""
    made, row, free, look = [], "", WIDTH, ""
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if code := CODES.fullmatch(part):
            look = " ".join(LOOKS[one] for one in code[1].split(";") if one in LOOKS)
            continue
        while part:
            text = escape(part[:free], quote=False)
            row += f'<tspan class="{look}">{text}</tspan>' if look else text
            part, free = part[free:], free - len(part[:free])
            if part:
                made.append(row)
                row, free = "", WIDTH
    return [*made, row]


def svg(pieces: list[tuple[float, str]]) -> str:
    """The recording as a picture that scrolls; where motion is not wanted, its end."""
    texts, moments, now, before = list[str](), list[tuple[float, int]](), 0.0, 0.0
    for at, piece in pieces:
        now, before = now + min(at - before, LONGEST), at
        for line in piece.replace("\r", "").split("\n")[: piece.count("\n")]:
            texts += rows(line)
        moments.append((now, len(texts)))
    total = now + END
    frames = "".join(f"{100 * at / total:.2f}%{{transform:translateY({(HEIGHT - n) * LINE}px)}}" for at, n in moments)
    last = f"transform:translateY({(HEIGHT - len(texts)) * LINE}px)"
    wide, high = round(WIDTH * CHARACTER) + 2 * MARGIN, HEIGHT * LINE + 2 * MARGIN
    drawn = "".join(f'<text y="{(n + 1) * LINE - 5}">{text}</text>\n' for n, text in enumerate(texts) if text)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" role="img">
<title>{escape(TITLE)}</title>
<style>{STYLE}
@keyframes s{{0%{{transform:translateY({HEIGHT * LINE}px)}}{frames}to{{{last}}}}}
.s{{{last};animation:s {total:.1f}s steps(1,end) infinite}}
@media (prefers-reduced-motion:reduce){{.s{{animation:none}}}}</style>
<rect width="100%" height="100%" fill="#10151c"/>
<svg x="{MARGIN}" y="{MARGIN}" width="{wide - 2 * MARGIN}" height="{HEIGHT * LINE}"><g class="s">
{drawn}</g></svg>
</svg>
"""


def main() -> None:
    """Write both files. Exits where they would tell something of this machine."""
    pieces = record()
    said = "".join(text for _, text in pieces)
    if found := PRIVATE.search(said) or re.search(rf"\b{re.escape(platform.node())}\b", said):
        sys.exit(f"the demo says {found[0]!r}, which is this machine's own: nothing was written")
    (IMAGES / "demo.cast").write_text(cast(pieces))
    (IMAGES / "demo.svg").write_text(svg(pieces))


if __name__ == "__main__":
    main()

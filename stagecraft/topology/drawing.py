"""A topology as SVG, laid out by Graphviz."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator

from stagecraft.stages import Refused
from stagecraft.topology.model import ALL, INTERNET, Place, Thing, Topology, Way

PROGRAM = "dot"
SHAPES = {
    "outside": "ellipse", "account": "ellipse", "postgresql_cluster": "cylinder", "storage_bucket": "cylinder",
    "containerregistry_registry": "cylinder", "containerregistry_repository": "cylinder", "lockbox_secret": "cylinder",
    "kms_symmetric_key": "cylinder", "logging_log_group": "cylinder", "folder": "folder",
}  # fmt: skip
FILLS = {"outside": "#fff8e1", "account": "#fff8e1", "compute_instance": "#e8eaf6", ALL: "#ffffff"}
SERVICE = "#e0f2f1"
LINE, FAINT, INK = "#3949ab", "#9fa8da", "#1a237e"
LONGEST = 20  # characters of a label's line
DIGEST = re.compile(r"<!-- drawn of ([0-9a-f]{64}) -->")


def source(topology: Topology) -> str:
    """The picture in Graphviz's language."""
    lines = [
        f"digraph {quoted(topology.stage)} {{",
        f"  graph [id={quoted(f'topology-{topology.stage}')} {layout(topology)} bgcolor=white pad=0.1 nodesep=0.25"
        ' fontname="Helvetica" fontsize=11 newrank=true];',
        f'  node [fontname="Helvetica" fontsize=12 color="{LINE}" fontcolor="{INK}" style=filled margin="0.1,0.06"];',
        f'  edge [fontname="Helvetica" fontsize=10 color="{LINE}" fontcolor="{LINE}" arrowsize=0.7];',
        *(f"  {node(topology, thing)}" for thing in topology.things if not thing.place),
    ]
    for place in topology.places:
        if not place.inside:
            lines += [f"  {line}" for line in cluster(topology, place)]
    lines += [f"  {edge(topology, way)}" for way in topology.ways if not written(way)]
    return "\n".join([*lines, "}", ""])


def layout(topology: Topology) -> str:
    """Downwards where there are networks; a chain of services, with long labels, to the right."""
    return "rankdir=TB ranksep=0.6" if topology.places else "rankdir=LR ranksep=0.3"


def cluster(topology: Topology, place: Place) -> Iterator[str]:
    """A place, with what lies in it."""
    style = "dashed" if place.inside else "solid"
    yield f"subgraph {quoted(f'cluster {place.id}')} {{"
    given = {"id": f"{topology.stage}-{place.id}", "label": place.label, "labeljust": "l", "style": f"rounded,{style}"}
    yield f"  {attributes(given)}"
    yield f'  color="{FAINT}" fontcolor="{LINE}";'
    yield from (f"  {node(topology, thing)}" for thing in topology.things if thing.place == place.id)
    for inner in topology.places:
        if inner.inside == place.id:
            yield from (f"  {line}" for line in cluster(topology, inner))
    yield "}"


def node(topology: Topology, thing: Thing) -> str:
    shape = SHAPES.get(thing.kind, "box")
    style = "dashed" if thing.kind == ALL else "rounded,filled" if shape == "box" else "filled"
    said = [
        f"reaches the internet:\n{', '.join(way.how)}" for way in topology.ways if thing.kind == ALL and written(way)
    ]
    label = "\n".join([thing.label, *filter(None, thing.about), *said])
    given = {
        "id": f"{topology.stage}-{thing.id}", "label": label, "shape": shape, "style": style,
        "fillcolor": FILLS.get(thing.kind, SERVICE),
    }  # fmt: skip
    return f"{quoted(thing.id)} [{attributes(given)}];"


def edge(topology: Topology, way: Way) -> str:
    """An arrow. What goes out does not pull the internet, where most ways begin, to the end of the picture."""
    lines = [f" {line} " for how in way.how for line in folded(how)]
    given = {
        "id": f"{topology.stage}-{way.source}-{way.target}",
        "label": "\n".join(lines),
        "constraint": str(way.target != INTERNET).lower(),
    }
    return f"{quoted(way.source)} -> {quoted(way.target)} [{attributes(given)}];"


def folded(how: str) -> list[str]:
    """A label in lines that are not long: a role breaks behind a dot."""
    if len(how) <= LONGEST or "." not in how:
        return [how]
    first, _, last = how.rpartition(".")
    return [f"{first}.", last]


def written(way: Way) -> bool:
    """Whether a way is said in words: an arrow from every machine to the internet would cross the whole picture."""
    return (way.source, way.target) == (ALL, INTERNET)


def attributes(given: dict[str, str]) -> str:
    return " ".join(f"{name}={quoted(value)}" for name, value in given.items())


def quoted(text: str) -> str:
    """A text in Graphviz's language: nothing in it is markup or an escape."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def digest(topology: Topology) -> str:
    """What tells whether a picture is of this topology, wherever Graphviz drew it."""
    return hashlib.sha256(source(topology).encode()).hexdigest()


def installed() -> bool:
    return shutil.which(PROGRAM) is not None


def require() -> None:
    """Raises Refused where Graphviz is missing."""
    if not installed():
        raise Refused(
            "the picture is laid out by Graphviz, which is not installed: `make system`, or the package graphviz"
        )


def svg(topology: Topology) -> str:
    """One `<svg>` element, as it can stand in a page. Raises Refused where Graphviz is missing or fails."""
    require()
    done = subprocess.run([PROGRAM, "-Tsvg"], input=source(topology), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"Graphviz could not draw {topology.stage}: {done.stderr.strip()}")
    drawn = done.stdout[done.stdout.index("<svg") :]
    drawn = re.sub(r"<!--.*?-->\n?", "", drawn, flags=re.DOTALL)
    return drawn.replace("<svg ", '<svg role="img" ', 1).replace(
        "</svg>", f"<!-- drawn of {digest(topology)} -->\n</svg>"
    )

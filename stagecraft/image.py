"""`stagecraft image`: the serving application as a container image, with the list of what is in it."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.markup import escape

from rehearsal import files, places
from rehearsal.world import images, shell
from stagecraft.stages import ROOT, Refused

NAME = "inference-api"
APP = ROOT / "apps" / "inference_api"
RECIPE, LOCK = APP / "Containerfile", APP / "requirements-serverless.lock"
PARTS = (
    "Containerfile",
    "README.md",
    "pyproject.toml",
    "requirements-serverless.lock",
    "src",
)  # what decides the image
GALAXY = ROOT / "collections" / "ansible_collections" / "stagecraft" / "platform" / "galaxy.yml"
FOLDER = ROOT / "build" / "image"
BASE = "debian-12"  # the machines' image; what is built in it has the same Python and C library
SBOM, OPENAPI = f"{NAME}.cdx.json", f"{NAME}.openapi.json"
BUILD_LIMIT = 900  # seconds
CONTRACT = "import json; from inference_api import gateway; print(json.dumps(gateway.document(), indent=1))"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """An image in podman's store, and in the folder as it goes to a registry (an OCI layout)."""

    image: str  # its name in podman's store
    id: str
    digest: str  # of the manifest in the layout; a registry shows the same after a push in OCI format
    size: int  # bytes that a registry stores: compressed layers, and the configuration
    layout: str
    sbom: str  # CycloneDX, JSON
    openapi: str  # what an API gateway in front of it is declared with, JSON


@dataclass(frozen=True)
class Source:
    """From what an image is made."""

    version: str
    revision: str
    epoch: int  # seconds; the time of everything that is dated


def command(
    fresh: Annotated[bool, typer.Option("--fresh", help="Build it all anew, with Debian's newest packages.")] = False,
    registry: Annotated[
        str, typer.Option("--push", metavar="REGISTRY", help="Put it into this registry (its id).")
    ] = "",
    built_before: Annotated[
        bool, typer.Option("--built", help="Take what lies in build/image; build nothing.")
    ] = False,
    served: Annotated[
        str,
        typer.Option(metavar="REFERENCE", help="Tag this image of a registry as one that has served; build nothing."),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Say it all as one JSON object, the gateway's contract in it.")
    ] = False,
) -> None:
    """Build the image of the serving application; say its digest and size, and list what is in it (SBOM)."""
    console = Console(highlight=False, stderr=as_json)
    say: Say = lambda line: console.print(f"  {escape(line)}", soft_wrap=True)  # noqa: E731
    if served:
        from stagecraft import push

        console.print(f"{'tagged' if push.served(served) else 'tagged before'}: {served}", soft_wrap=True)
        return
    with taken(say, fresh=fresh, built_before=built_before) as built:
        console.print(f"{built.image} {built.id[:12]}", soft_wrap=True)
        console.print(f"list of contents: {built.sbom}", soft_wrap=True)
        now = False
        if registry:
            from stagecraft import push  # it needs what is said here

            now = push.push(built, registry)
            console.print(f"{'pushed' if now else 'there already'}: {push.reference(built, registry)}", soft_wrap=True)
        console.print(f"image: {built.digest}, {built.size / 1e6:.1f} MB compressed", soft_wrap=True)
        if as_json:
            contract = json.loads(Path(built.openapi).read_text())
            typer.echo(json.dumps({"digest": built.digest, "size": built.size, "pushed": now, "contract": contract}))


@contextlib.contextmanager
def taken(say: Say, *, fresh: bool = False, built_before: bool = False) -> Iterator[Built]:
    """The image for as long as the block reads the folder: built unless it is there, or as it was `built_before`; nobody
    writes the folder meanwhile. Raises what `build` and `kept` raise."""
    with _alone(say):
        yield kept() if built_before else _build(say, fresh)


def build(say: Say = lambda line: None, *, fresh: bool = False) -> Built:
    """Build the image unless it is there; several callers at once build it once.

    Packages come from where machines get them: by STAGECRAFT_APT_PROXY where it is set, and by pip's own settings.
    Raises WorldError with the last words of what failed, Refused where a source is not as it should be."""
    with taken(say, fresh=fresh) as built:
        return built


def _build(say: Say, fresh: bool) -> Built:
    source = described()
    with TemporaryDirectory() as folder:
        context = Path(folder)
        (context / "wheels").mkdir()
        wheel = _wheel(context / "wheels", source)
        shutil.copy(LOCK, context)
        runtime = _runtime(context, say, fresh)
        image = f"localhost/stagecraft/{NAME}:{_digest(runtime.encode(), wheel.read_bytes(), repr(source).encode())}"
        if fresh or not _id(image):
            say(f"building {image}")
            labels = {
                "title": NAME,
                "version": source.version,
                "revision": source.revision,
                "source": yaml.safe_load(GALAXY.read_text())["repository"],
                "created": datetime.fromtimestamp(source.epoch, UTC).isoformat(),
                "licenses": "Apache-2.0",
                "base.name": runtime,
            }
            pairs = [f"org.opencontainers.image.{key}={value}" for key, value in labels.items()]
            marks = [f"--{kind}={pair}" for kind in ("label", "annotation") for pair in pairs]
            # the name says what it is made of, so that intermediate layers would never be used again
            more = ("--layers=false", f"--build-arg=RUNTIME={runtime}")
            _podman_build("application", context, image, source.epoch, *marks, *more)
        return _kept(image, source, say)


def kept() -> Built:
    """What was built before, here or by another job of a pipeline, for who is `_alone` with the folder.

    Raises Refused where there is nothing whole."""
    note, layout = FOLDER / f"{NAME}.json", FOLDER / "oci"
    here = {"layout": str(layout), "sbom": str(FOLDER / SBOM), "openapi": str(FOLDER / OPENAPI)}
    try:
        built = Built(**json.loads(note.read_text()) | here)
        entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise Refused(f"{FOLDER} holds no built image ({error}): make it with `make image`.") from None
    if entry["digest"] != built.digest:
        raise Refused(f"{layout} is not the image that {note} tells of: make it again with `make image`.")
    return built


def described() -> Source:
    """The version, and the commit that last changed any part of the image. SOURCE_DATE_EPOCH wins over the commit's time."""
    known = _git("log", "-1", "--format=%H %ct", "--", *PARTS).split()
    revision, when = known if known else ("unknown", "0")
    changed = "-dirty" if known and _git("status", "--porcelain", "--", *PARTS) else ""
    version = (
        (APP / "src" / "inference_api" / "__init__.py").read_text().partition('__version__ = "')[2].partition('"')[0]
    )
    try:
        return Source(version, revision + changed, int(os.environ.get("SOURCE_DATE_EPOCH", when)))
    except ValueError:
        raise Refused(
            f"SOURCE_DATE_EPOCH={os.environ['SOURCE_DATE_EPOCH']}: give whole seconds since 1970.", 2
        ) from None


def _git(*words: str) -> str:
    """What git says of the application's folder; nothing where this is no checkout."""
    done = subprocess.run(["git", *words], cwd=APP, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


@contextlib.contextmanager
def _alone(say: Say = lambda line: None) -> Iterator[None]:
    """Be the only one who builds the image, writes the folder or reads it."""
    folder = places.cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{NAME}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run that builds the image, or reads it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _wheel(folder: Path, source: Source) -> Path:
    """The application as a wheel: the same bytes from the same source."""
    options = (
        "--quiet",
        "--wheel",
        "--offline",
        "--no-build-isolation",
        f"--python={sys.executable}",
        "--no-create-gitignore",
    )
    # a zip file knows no time before 1980
    dated = {"SOURCE_DATE_EPOCH": str(max(source.epoch, 315532800))}
    shell.run(sys.executable, "-m", "uv", "build", *options, f"--out-dir={folder}", APP, env=dated)
    return next(folder.glob("*.whl"))


def _runtime(context: Path, say: Say, fresh: bool) -> str:
    """The image with everything but the application; its name changes with what it is made of."""
    from rehearsal import packages, wheelhouse  # here, because they would make every other command start later

    base = images.reference(BASE)
    image = f"localhost/stagecraft/{NAME}-runtime:{_digest(RECIPE.read_bytes(), LOCK.read_bytes(), base.encode())}"
    if fresh or not _id(image):
        proxy = os.environ.get("STAGECRAFT_APT_PROXY", "")
        images.ensure(BASE, say, proxy)
        wheelhouse.fill([LOCK], progress=say)
        say(f"building {image}")
        options = f"-o Acquire::http::Proxy={proxy}" if proxy else ""
        again = ["--no-cache"] if fresh else []
        wheels = f"--volume={packages.wheel_folder()}:/wheels:ro"
        _podman_build("runtime", context, image, 0, wheels, f"--build-arg=APT_OPTIONS={options}", *again)
    return image


def _podman_build(target: str, context: Path, image: str, epoch: int, *more: str) -> None:
    shell.podman(
        *("build", "--quiet", "--network=host", f"--file={RECIPE}", f"--target={target}", f"--tag={image}"),
        *(f"--timestamp={epoch}", "--identity-label=false"),
        *(f"--build-arg=BASE={images.reference(BASE)}", *more),
        context,
        timeout=BUILD_LIMIT,
    )


def _kept(image: str, source: Source, say: Say) -> Built:
    """The image in the folder; written again only when it is another one."""
    from stagecraft import sbom  # here, because its library would make every other command start later

    note, layout, listed, contract = (FOLDER / name for name in (f"{NAME}.json", "oci", SBOM, OPENAPI))
    identity = _id(image)
    with contextlib.suppress(Refused):  # nothing whole is there
        known = kept()
        if (known.image, known.id) == (image, identity) and listed.exists() and contract.exists():
            return known
    say(f"writing {layout}")
    shutil.rmtree(layout, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    shell.podman("push", "--quiet", "--format=oci", image, f"oci:{layout}:{source.version}", timeout=BUILD_LIMIT)
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    manifest = json.loads((layout / "blobs" / entry["digest"].replace(":", "/")).read_text())
    size = sum(part["size"] for part in (manifest["config"], *manifest["layers"]))
    built = Built(image, identity, entry["digest"], size, str(layout), str(listed), str(contract))
    files.write(listed, sbom.document(image, NAME, source.version, built.digest, source.epoch), 0o644)
    files.write(contract, shell.run(sys.executable, "-c", CONTRACT, env={"PYTHONPATH": str(APP / "src")}), 0o644)
    files.write(note, json.dumps(asdict(built), indent=1) + "\n", 0o644)
    return built


def _id(image: str) -> str:
    return (
        shell.podman("images", "--quiet", "--no-trunc", "--filter", f"reference={image}")
        .strip()
        .removeprefix("sha256:")
    )


def _digest(*parts: bytes) -> str:
    return functools.reduce(lambda digest, part: hashlib.sha256(digest + part).digest(), parts, b"").hex()[:12]

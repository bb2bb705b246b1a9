"""What is in an image, as CycloneDX: Debian's packages and Python's, asked of the image itself."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from email.parser import HeaderParser
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseAcknowledgement
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from rehearsal.world import shell

VERSION = SchemaVersion.V1_6
PYTHON = "/usr/bin/python3.11"
ASK = """\
import importlib.metadata, json, pathlib, platform
control = sorted(pathlib.Path("/var/lib/dpkg/status.d").iterdir())
print(json.dumps({
    "debian": [file.read_text() for file in control],
    "python": [dict(found.metadata.items()) for found in importlib.metadata.distributions()],
    "release": platform.freedesktop_os_release(),
}))
"""


def document(image: str, name: str, version: str, digest: str, epoch: int) -> str:
    """The text of the list for an image in podman's store: the same for the same image. Raises CommandError where the
    image cannot be asked."""
    inside = ("run", "--rm", "--network=none", "--read-only", f"--entrypoint={PYTHON}", image, "-I", "-c", ASK)
    found = json.loads(shell.podman(*inside))
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, digest))
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    bom.metadata.component = whole = _component(
        PackageURL("oci", name=name, version=digest), version, type=ComponentType.CONTAINER
    )
    distribution = f"{found['release']['ID']}-{found['release']['VERSION_ID']}"
    parts = [_debian(control, distribution) for control in found["debian"]]
    parts += [_python(metadata) for metadata in found["python"]]
    bom.components.update(parts)
    bom.register_dependency(whole, parts)
    return make_outputter(bom, OutputFormat.JSON, VERSION).output_as_string(indent=1) + "\n"


def _debian(control: str, distribution: str) -> Component:
    fields = HeaderParser().parsestr(control)
    where = {"arch": fields["Architecture"], "distro": distribution}
    if source := fields["Source"]:  # a scanner looks weaknesses up by the source package
        where["upstream"] = source.partition(" ")[0]
    purl = PackageURL("deb", "debian", fields["Package"], fields["Version"], where)
    return _component(purl, fields["Version"], description=fields["Description"].partition("\n")[0])


def _python(metadata: dict[str, str]) -> Component:
    licences = LicenseFactory()
    stated = metadata.get("License-Expression")
    known = (
        [licences.make_from_string(stated, license_acknowledgement=LicenseAcknowledgement.DECLARED)] if stated else []
    )
    purl = PackageURL("pypi", name=metadata["Name"].lower(), version=metadata["Version"])
    return _component(purl, metadata["Version"], description=metadata.get("Summary"), licenses=known)


def _component(purl: PackageURL, version: str, type: ComponentType = ComponentType.LIBRARY, **more: Any) -> Component:
    return Component(name=purl.name, version=version, type=type, purl=purl, bom_ref=purl.to_string(), **more)

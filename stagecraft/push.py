"""`stagecraft image --push`: the image into a registry of the cloud, with a token that nobody else sees."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from rehearsal import files
from rehearsal.world import shell
from stagecraft.image import BUILD_LIMIT, NAME, Built
from stagecraft.stages import Refused, import_collection

HOST = "cr.yandex"
SERVED = "served-"  # begins the tags of images that have served: the stage's lifecycle policy knows it
NOT_YET = ("NAME_UNKNOWN", "404 (Not Found)")  # what registries say of a repository without images


def reference(built: Built, registry: str) -> str:
    """What a revision is declared with."""
    return f"{HOST}/{registry}/{NAME}@{built.digest}"


def push(built: Built, registry: str) -> bool:
    """Put the image, as it lies in its folder, into the registry (its id) unless it is there; whether it was put there now.

    Raises Refused where the credentials give no token, and WorldError with skopeo's words where the registry refuses."""
    repository, tag = f"{HOST}/{registry}/{NAME}", _short(built.digest)
    return _tagged(f"oci:{built.layout}", repository, tag)


def served(reference: str) -> bool:
    """Tag an image of a registry, by its reference, as one that has served, so that a lifecycle policy can keep it; whether
    that is new. Raises what `push` does."""
    repository, _, digest = reference.partition("@")
    return _tagged(f"docker://{reference}", repository, SERVED + _short(digest))


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12]


def _tagged(source: str, repository: str, tag: str) -> bool:
    """Copy an image into a repository by this tag, unless that is there; whether it was copied now."""
    with TemporaryDirectory() as folder:
        login = Path(folder) / "auth.json"
        account = base64.b64encode(f"iam:{token()}".encode()).decode()
        files.write(login, json.dumps({"auths": {HOST: {"auth": account}}}))
        if tag in tags(repository, login):
            return False
        skopeo("copy", "--quiet", "--preserve-digests", f"--authfile={login}", source, f"docker://{repository}:{tag}")
        return True


def tags(repository: str, login: Path) -> list[str]:
    """The tags of a repository; none where it has never had an image."""
    try:
        return list(json.loads(skopeo("list-tags", f"--authfile={login}", f"docker://{repository}"))["Tags"])
    except shell.CommandError as error:
        if any(words in str(error) for words in NOT_YET):
            return []
        raise


def skopeo(*arguments: str) -> str:
    """It needs no container and no rights, and copies the bytes as they are, so that the digest stays."""
    # Who vouches for the API vouches for the registry too.
    trust = {"SSL_CERT_FILE": certificates} if (certificates := os.environ.get("YC_ROOT_CERTIFICATES")) else {}
    return shell.run("skopeo", *arguments, timeout=BUILD_LIMIT, env=trust)


def token() -> str:
    """An IAM token of the credentials that playbooks run with."""
    import_collection()
    from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
    from ansible_collections.stagecraft.platform.plugins.module_utils.session import Session

    try:
        found: str = Session.from_options().token()
    except Fail as error:
        raise Refused(str(error)) from None
    return found

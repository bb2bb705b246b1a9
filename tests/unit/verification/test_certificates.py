"""What the verification says of certificates, of servers that show good ones and others."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
from pathlib import Path

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils import keys
from authority import expired

sys.path.append(str(Path(__file__).parents[3] / "playbooks" / "verification"))

import shared

NAME = "api.example.org"


@pytest.fixture(scope="module")
def authority():
    return keys.authority("Test CA")


@pytest.fixture
def shown(tmp_path, authority):
    """Say what is found of a server on this machine that shows a certificate."""
    ours, trusted = tmp_path / "pair.pem", tmp_path / "ca.pem"
    trusted.write_text(authority["certificate"])

    def ask(pair: dict[str, str], name: str = NAME) -> float:
        ours.write_text(pair["certificate"] + pair["private_key"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(ours)

        def serve(listening: socket.socket) -> None:
            with contextlib.suppress(OSError):  # the client has refused
                context.wrap_socket(listening.accept()[0], server_side=True).close()

        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = threading.Thread(target=serve, args=(listening,))
            serving.start()
            try:
                return shared.days_left(name, "127.0.0.1", str(trusted), listening.getsockname()[1])
            finally:
                serving.join()

    return ask


def test_a_good_one_says_for_how_long(shown, authority):
    assert 30 < shown(keys.leaf([NAME], authority)) < 1000


def test_one_that_has_expired_or_is_another_s_is_named(shown, authority):
    with pytest.raises(pytest.fail.Exception, match="^api.example.org: clients refuse its certificate: .*has expired"):
        shown(expired([NAME], authority))
    with pytest.raises(
        pytest.fail.Exception, match="^www.example.org: .*certificate is not valid for 'www.example.org'"
    ):
        shown(keys.leaf([NAME], authority), "www.example.org")

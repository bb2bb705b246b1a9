"""Every certificate that the stage shows leads to the stage's authority, for the name that it is called by."""

import socket
import ssl

import pytest

SHOWN = r"""
import socket, ssl
context = ssl.create_default_context()
def shown(name, address, port):
    try:
        with socket.create_connection((address, port), 10) as plain, context.wrap_socket(plain, server_hostname=name) as tls:
            issuer = {k: v for part in tls.getpeercert()["issuer"] for k, v in part}
            return [tls.version(), issuer["commonName"]]
    except ssl.SSLCertVerificationError as error:
        return ["refused", error.verify_message]
    except ssl.SSLError as error:
        return ["tls", str(error.reason)]
print(json.dumps([shown(*one) for one in given]))
"""
PORTS = {
    "edge": [443, 9100],
    "backend": [8443, 9100],
    "serving": [8001, 9102, 9100],
    "monitoring": [9090, 9093, 9100, 9115, 9187],
    "bastion": [9100],
}


def issuer(stage):
    return f"Stagecraft {stage.facts['stage']} CA"


@pytest.mark.parametrize("role", PORTS)
def test_certificates_check_against_the_stages_authority(stage, role):
    for name in stage.machines(role):
        address = stage.facts["machines"][name]["private"]
        wanted = [(f"{name}.{stage.facts['domain']}", address, port) for port in PORTS[role]]
        for (_, _, port), (version, said) in zip(wanted, stage.ask(name, SHOWN, wanted), strict=True):
            assert version in ("TLSv1.2", "TLSv1.3") and said == issuer(stage), f"{name}:{port}: {version} {said}"


def test_another_name_is_not_accepted(stage):
    (name,) = stage.machines("edge")
    address = stage.facts["machines"][name]["private"]
    ((outcome, _),) = stage.ask(name, SHOWN, [("other.example.com", address, 443)])
    assert outcome == "refused"


def test_a_client_without_the_stages_authority_does_not_connect(stage):
    (name,) = stage.machines("edge")
    address = stage.facts["machines"][name]["public"]
    context = ssl.create_default_context()
    with (
        socket.create_connection((address, 443), 10) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
        context.wrap_socket(plain, server_hostname=stage.facts["public_hostname"]),
    ):
        pass

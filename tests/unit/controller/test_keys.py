"""Keys and certificates: OpenSSL and OpenSSH take what we make, and what has grown old is seen."""

import datetime
import subprocess

from ansible_collections.stagecraft.platform.plugins.module_utils import keys

NAMES = ["edge-1.partners.internal", "api.partners.example.com", "10.10.0.5"]


def test_openssl_verifies_a_leaf_for_its_names_and_no_other(tmp_path):
    ca = keys.authority("Test CA")
    leaf = keys.leaf(NAMES, ca)
    (tmp_path / "ca.pem").write_text(ca["certificate"])
    (tmp_path / "leaf.pem").write_text(leaf["certificate"])

    def verify(*options):
        command = ["openssl", "verify", "-x509_strict", "-CAfile", tmp_path / "ca.pem", *options, tmp_path / "leaf.pem"]
        return subprocess.run(command, capture_output=True, text=True).returncode

    assert verify("-verify_hostname", "api.partners.example.com", "-purpose", "sslserver") == 0
    assert verify("-verify_ip", "10.10.0.5", "-purpose", "sslclient") == 0
    assert verify("-verify_hostname", "other.example.com") != 0
    (tmp_path / "ca.pem").write_text(keys.authority("Test CA")["certificate"])
    assert verify() != 0


def test_a_leaf_cannot_sign(tmp_path):
    ca = keys.authority("Test CA")
    leaf = keys.leaf(["a.internal"], ca)
    second = keys.leaf(["b.internal"], leaf)
    (tmp_path / "ca.pem").write_text(ca["certificate"])
    (tmp_path / "chain.pem").write_text(leaf["certificate"])
    (tmp_path / "second.pem").write_text(second["certificate"])
    command = [
        "openssl",
        "verify",
        "-CAfile",
        tmp_path / "ca.pem",
        "-untrusted",
        tmp_path / "chain.pem",
        tmp_path / "second.pem",
    ]
    assert subprocess.run(command, capture_output=True).returncode != 0


def test_openssh_derives_the_public_key_from_the_private_one(tmp_path):
    pair = keys.ssh_pair("partners")
    private = tmp_path / "id"
    private.touch(mode=0o600)
    private.write_text(pair["private_key"])
    derived = subprocess.run(["ssh-keygen", "-y", "-f", private], capture_output=True, text=True, check=True).stdout
    assert derived.split()[:2] == pair["public_key"].split()[:2]


def test_a_leaf_is_renewed_for_a_reason_only():
    ca = keys.authority("Test CA")
    leaf = keys.leaf(NAMES, ca, days=90)
    assert keys.why_renew(leaf, NAMES, ca) == ""
    assert keys.why_renew(leaf, NAMES, ca, at=keys.now() + datetime.timedelta(days=59)) == ""
    assert "third" in keys.why_renew(leaf, NAMES, ca, at=keys.now() + datetime.timedelta(days=61))
    assert "names" in keys.why_renew(leaf, NAMES[:1], ca)
    assert "CA" in keys.why_renew(leaf, NAMES, keys.authority("Test CA"))

"""The files that lead to the machines, as ssh itself understands them."""

import subprocess
from pathlib import Path

import pytest
from ansible_collections.stagecraft.platform.plugins.plugin_utils import ssh_files
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs.host_keys import printed_keys

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMUgVnBf4vpYLFSBwGzQmhxSGnbcyZdwyTaYeRVHD0wj"
EC = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBBpvQcHXG7cxMBMw4Sh95H9hyiLpzZ8IlB"
    "nTCkfmZBJyMxb9TMkYZm7JJyVhoPIIvLO3Vx4nWuyVdqXZVxGb2nM="
)
BLOCK = f"-----BEGIN SSH HOST KEY KEYS-----\r\n{EC} root@x\r\n{ED} root@x\r\n-----END SSH HOST KEY KEYS-----\r\n"


def machine(name, private, public="", **more):
    return {"id": f"id-{name}", "name": name, "private_ip": private, "public_ip": public, "keys": [ED], **more}


@pytest.fixture
def options(tmp_path):
    return {
        "user": "stagecraft",
        "identity_file": str(tmp_path / "a key"),
        "known_hosts": str(tmp_path / "known_hosts"),
        "control_folder": "/run/cp",
    }


@pytest.mark.parametrize(
    ("console", "keys"),
    [
        ("", []),
        ("boot\n-----BEGIN SSH HOST KEY KEYS-----\n" + ED, []),
        ("boot\n" + BLOCK + "login: ", [EC, ED]),
        (
            f"[ 3.1] ci: -----BEGIN SSH HOST KEY KEYS-----\n[ 3.2] ci: {ED} r@x\n-----END SSH HOST KEY KEYS-----",
            [ED],
        ),
        (BLOCK + f"-----BEGIN SSH HOST KEY KEYS-----\n{ED} new\n-----END SSH HOST KEY KEYS-----\n", [ED]),
        ("-----BEGIN SSH HOST KEY KEYS-----\nssh-dss AAAAB3 x\nrm -rf\n-----END SSH HOST KEY KEYS-----\n", []),
    ],
)
def test_keys_are_read_from_the_last_whole_block(console, keys):
    assert printed_keys(console) == keys


def test_ssh_reads_what_is_meant(tmp_path, options):
    machines = [machine("bastion-1", "10.0.0.3", "198.51.100.70"), machine("edge-1", "10.0.0.4", "198.51.100.71")]
    config = tmp_path / "ssh_config"
    config.write_text(ssh_files.ssh_config(machines, "bastion-1", options))
    seen = {}
    for name in ("bastion-1", "edge-1", "elsewhere"):
        text = subprocess.run(["ssh", "-G", "-F", config, name], capture_output=True, text=True, check=True).stdout
        seen[name] = {k: v for k, _, v in (line.partition(" ") for line in text.splitlines())}
    assert seen["bastion-1"]["hostname"] == "198.51.100.70" and "proxyjump" not in seen["bastion-1"]
    assert seen["edge-1"]["hostname"] == "10.0.0.4" and seen["edge-1"]["proxyjump"] == "bastion-1"
    for name in ("bastion-1", "edge-1"):
        assert seen[name]["user"] == "stagecraft" and seen[name]["stricthostkeychecking"] == "true"
        assert seen[name]["identityfile"] == options["identity_file"] and seen[name]["identitiesonly"] == "yes"
        assert seen[name]["userknownhostsfile"] == options["known_hosts"]
        assert seen[name]["passwordauthentication"] == "no" and seen[name]["controlmaster"] == "auto"
    assert seen["elsewhere"]["hostname"] == "elsewhere" and seen["elsewhere"]["user"] != "stagecraft"


def test_known_hosts_holds_names_and_addresses_and_comes_back(options):
    machines = [machine("bastion-1", "10.0.0.3", "198.51.100.70", keys=[EC, ED]), machine("edge-1", "10.0.0.4")]
    text = ssh_files.known_hosts(machines)
    Path(options["known_hosts"]).write_text(text)
    for name in ("bastion-1", "10.0.0.3", "198.51.100.70", "edge-1"):
        found = subprocess.run(["ssh-keygen", "-F", name, "-f", options["known_hosts"]], capture_output=True, text=True)
        assert found.returncode == 0 and ED.split()[1] in found.stdout
    assert ssh_files.known_keys(text) == {"id-bastion-1": [EC, ED], "id-edge-1": [ED]}
    assert ssh_files.known_keys("somebody ssh-ed25519 AAAA\n") == {}


def test_what_ssh_would_stumble_over(options):
    machines = [machine("-oProxyCommand=x", "10.0.0.3"), machine("", "10.0.0.5"), machine("lonely", "")]
    found = "; ".join(ssh_files.problems(machines, "/" + "x" * 80))
    for text in ("-oProxyCommand=x", "name that ssh cannot use: ''", "lonely has no address", "too long for a socket"):
        assert text in found
    assert not ssh_files.problems([machine("edge-1", "10.0.0.4")], "/root/.ansible/cp")

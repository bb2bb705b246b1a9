"""Keys as ssh-keygen tells them, and ports as this machine's kernel has them open."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils import machine_state_accounts as accounts
from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_ports import ports


@pytest.fixture
def key(tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    return (tmp_path / "key.pub").read_text().strip()


def test_keys_are_told_by_their_fingerprints(machine, key, tmp_path):
    shown = subprocess.run(["ssh-keygen", "-lf", tmp_path / "key.pub"], capture_output=True, text=True, check=True)
    short = shown.stdout.split()[1][: len("SHA256:") + accounts.SHORT]
    record = machine.record()
    file = machine.write("/home/anna/.ssh/authorized_keys", f"# {key}\n\n{key}\nnot a key\nssh-rsa AAAA=x broken\n")
    assert machine.told(record) == [("user", "anna", "changed", "keys", "0", f"1: {short}")]
    file.write_text(f'from="10.0.0.1 # here" {key}\n{key}\n')
    (told,) = machine.told(record)
    assert told[5].startswith(f"2: {short}, {short} with options ")
    file.unlink()
    os.mkfifo(file)
    assert machine.told(record) == []


def test_keys_that_only_root_can_place_count_too(machine, key):
    record = machine.record()
    machine.write("/etc/ssh/authorized_keys.d/anna", f"{key}\n")
    assert [one[:4] for one in machine.told(record)] == [("user", "anna", "changed", "keys")]


def test_a_new_user_is_as_old_as_its_home(machine):
    today = int(time.time() // 86400)
    home = machine.write("/home/bob/.profile", "").parent
    came = (home / ".profile").stat().st_ctime
    time.sleep(0.05)
    machine.write("/etc/passwd", f"bob:x:{os.getuid()}:1::/home/bob:/bin/sh\n")
    machine.write("/etc/shadow", f"bob:!:{today}::::::\n")
    assert accounts.users(str(machine.root)).since("bob", "") == came
    machine.write("/etc/shadow", f"bob:!:{today + 1}::::::\n")
    changed = (machine.root / "etc/passwd").stat().st_ctime
    assert accounts.users(str(machine.root)).since("bob", "") == changed, "a home from before the user came"


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_is_open_with_its_process_and_its_start(family, address):
    began = time.time()
    with socket.create_server((address, 0), family=family) as server:
        name = f"{f'[{address}]' if ':' in address else address}:{server.getsockname()[1]}/tcp"
        found = ports("")
        assert found.things[name] == {"process": Path("/proc/self/comm").read_text().strip()}
        assert 0 < found.since(name, "") < began
    assert name not in ports("").things


def test_udp_counts_below_the_range_of_clients():
    with socket.socket(type=socket.SOCK_DGRAM) as low, socket.socket(type=socket.SOCK_DGRAM) as high:
        for port in range(31000, 32000):
            try:
                low.bind(("127.0.0.1", port))
                break
            except OSError:
                continue
        high.bind(("127.0.0.1", 0))
        found = ports("").things
        assert f"127.0.0.1:{low.getsockname()[1]}/udp" in found
        assert f"127.0.0.1:{high.getsockname()[1]}/udp" not in found

"""A stage's playbook in check mode before there is anything: it says what it would make, and makes nothing."""

import subprocess

from ansible_runs import ROOT, command, contents

COMPONENTS = ("Keys and certificates", "Cloud", "Secrets", "Databases", "Reach the machines", "Models", "Edge", "Entry")


def test_partners_from_an_empty_folder(play, cloud, variables, tmp_path):
    state, cache = tmp_path / "state", tmp_path / "cache"
    done = subprocess.run(
        [command("ansible-playbook"), "--check", "playbooks/partners.yml", "-e", "@rehearsal/overlay.yml"],
        cwd=ROOT,
        env=variables | {"STAGE": "partners", "STAGECRAFT_STATE": str(state), "STAGECRAFT_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    for name in COMPONENTS:
        assert f"PLAY [{name}]" in output, name
    for line in (
        "lockbox_secret tls-edge-1",
        "vpc_network main",
        "postgresql_cluster main",
        "compute_instance backend-2",
    ):
        assert f"  to create  {line}" in output, line
    assert "[ERROR]" not in output and "no hosts matched" in output

    assert not state.exists() and not cache.exists()
    assert play(contents()).results[0]["resources"] == []

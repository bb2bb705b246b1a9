"""A rehearsal without machines, as a person starts and ends it; and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from rehearsal import environment, files, lifecycle, processes
from rehearsal.places import Place
from rehearsal.world import WorldError, seaweed, shell


def rehearsal(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rehearsal", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=lifecycle.ROOT, timeout=120, check=False)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("STAGECRAFT_STATE", str(tmp_path))
    made = Place(f"demo{os.getpid()}")
    yield made
    lifecycle.down(made)


def test_the_cloud_alone_comes_up_on_loopback_goes_on_after_a_kill_and_leaves_nothing(place):
    name = place.name
    assert rehearsal("up", name, "--no-machines").returncode == 0
    variables = json.loads(rehearsal("env", name, "--json").stdout)
    assert variables["YC_ENDPOINT"].startswith("127.0.0.1:")
    stranger = boto3.session.Session().client(
        "s3", endpoint_url=variables["YC_STORAGE_ENDPOINT"], verify=variables["AWS_CA_BUNDLE"], region_name="ru-central1",
        aws_access_key_id="nobody", aws_secret_access_key="nothing",
    )  # fmt: skip
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        stranger.list_buckets()
    assert environment.is_up(name) and environment.netns(name) is None
    assert rehearsal("quota", name, "vpc.networks.count").stdout.split() == ["vpc.networks.count", "0", "of", "2"]
    assert rehearsal("quota", name, "vpc.networks.count", "5").stdout.split()[-1] == "5"
    unknown = rehearsal("quota", name, "vpc.nets", "5")
    assert unknown.returncode == 1 and "vpc.nets' is no quota here" in unknown.stderr
    assert "Traceback" not in unknown.stderr
    processes.end({processes.running(place, daemon) for daemon in (environment.CLOUD, "storage")}, patience=1)
    assert not environment.is_up(name)
    assert "DEAD" in rehearsal("status", name).stdout
    assert rehearsal("up", name, "--no-machines").returncode == 0
    assert json.loads(rehearsal("env", name, "--json").stdout) == variables
    assert rehearsal("quota", name, "vpc.networks.count").stdout.split()[-1] == "5"
    assert "up already" in rehearsal("up", name, "--no-machines").stdout
    ports = seaweed.ports(place)
    done = rehearsal("down", name)
    assert "removed 2 processes" in done.stdout and "nothing is left" in done.stdout
    assert not lifecycle.leftovers(place) and not environment.is_up(name)
    sockets = {socket for port in ports.values() for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")}
    assert not sockets


def test_another_state_folder_with_a_rehearsal_of_that_name_is_left_alone(place, tmp_path, monkeypatch):
    assert rehearsal("up", place.name, "--no-machines").returncode == 0
    monkeypatch.setenv("STAGECRAFT_STATE", str(tmp_path / "another"))
    assert not environment.is_up(place.name)
    assert not lifecycle.leftovers(place)
    assert "removed 0 processes" in rehearsal("down", place.name).stdout
    monkeypatch.setenv("STAGECRAFT_STATE", str(tmp_path))
    assert environment.is_up(place.name)


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_namespaces_of_another_state_folder_are_named_and_kept(place, tmp_path, monkeypatch):
    namespace = place.netns("internet")
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    place.folder.mkdir(parents=True)
    files.write(place.owner, str(place.folder))
    assert lifecycle.leftovers(place)["namespaces"] == [namespace]
    monkeypatch.setenv("STAGECRAFT_STATE", str(tmp_path / "another"))
    assert not lifecycle.leftovers(place)
    with pytest.raises(
        WorldError, match=f"already rehearsed .* STAGECRAFT_STATE={tmp_path} make down STAGE={place.name}"
    ):
        lifecycle.check_owner(place)
    lifecycle.down(place)
    assert namespace in shell.namespaces() and place.owner.exists()
    monkeypatch.setenv("STAGECRAFT_STATE", str(tmp_path))
    assert lifecycle.down(place)["namespaces"] == 1
    assert namespace not in shell.namespaces() and not place.owner.exists()


def test_a_rehearsal_is_either_with_machines_or_without(place):
    environment.remember(place, machines=True)
    with pytest.raises(WorldError, match=f"rehearsal down {place.name}"):
        lifecycle.up(place, machines=False)


@pytest.mark.parametrize("name", ["", "A", "a-b", "../x", "a b", "1a", "a" * 40])
def test_a_name_that_could_not_be_told_from_anothers_is_refused(name):
    with pytest.raises(WorldError, match="lower case letters and digits"):
        lifecycle.place_of(name)


def test_the_variables_of_an_unknown_rehearsal_say_how_to_start_it(place):
    done = rehearsal("env", place.name)
    assert done.returncode == 1
    assert done.stderr.strip() == f"rehearsal: {place.name}: no such rehearsal. Start it: rehearsal up {place.name}"


def test_missing_programs_are_named_with_their_packages(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(lifecycle, "PROGRAMS", {"sh": "dash", "no-such-program": "its-package"})
    with pytest.raises(WorldError, match="apt-get install its-package$"):
        lifecycle.check_machine()


def test_a_cloud_that_cannot_start_shows_the_end_of_its_log(place):
    place.cloud.mkdir(parents=True)
    (place.cloud / "cloud.sqlite").write_text("this is no database")
    done = rehearsal("up", place.name, "--no-machines")
    assert done.returncode == 1
    assert (
        "the emulated cloud ended with exit status 1 before it answered" in done.stderr
        and "DatabaseError" in done.stderr
    )

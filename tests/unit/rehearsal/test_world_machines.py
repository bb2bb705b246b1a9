"""What cloud-init is told about an instance, and how images are named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml
from described_cloud import instance

from rehearsal.world import WorldError, images, machines


def test_user_data_is_handed_on_as_it_is():
    made = instance("backend-1", "10.0.0.6")
    made.metadata["user-data"] = "#cloud-config\nruncmd: [date]\n"
    assert machines.seed_files(made)["user-data"] == "#cloud-config\nruncmd: [date]\n"


def test_a_machine_without_user_data_gets_an_empty_one():
    assert yaml.safe_load(machines.seed_files(instance("backend-1", "10.0.0.6"))["user-data"]) == {}


def test_the_machine_is_named_and_known_by_the_instance():
    meta = yaml.safe_load(machines.seed_files(instance("backend-1", "10.0.0.6"))["meta-data"])
    assert meta == {"instance-id": "fhm-backend-1", "local-hostname": "backend-1.ru-central1.internal"}


def test_ssh_keys_of_the_metadata_become_users_beside_the_images_own():
    made = instance("backend-1", "10.0.0.6")
    made.metadata["ssh-keys"] = "anna:ssh-ed25519 AAAA anna@home\nboris:ssh-rsa BBBB\nanna:ssh-rsa CCCC\nnonsense\n"
    default, *users = yaml.safe_load(machines.seed_files(made)["vendor-data"])["users"]
    assert default == "default"
    assert {user["name"]: user["ssh_authorized_keys"] for user in users} == {
        "anna": ["ssh-ed25519 AAAA anna@home", "ssh-rsa CCCC"],
        "boris": ["ssh-rsa BBBB"],
    }


def test_an_image_changes_its_name_with_its_recipe():
    recipe = images.FAMILIES["debian-12"]
    assert images.reference("debian-12") == f"localhost/stagecraft/debian-12:{recipe.digest}"
    assert replace(recipe, packages=(*recipe.packages, "jq")).digest != recipe.digest
    assert replace(recipe, files=()).digest != recipe.digest


def test_an_unknown_family_is_refused_with_those_there_are():
    with pytest.raises(WorldError, match=r"'ubuntu-9'.*debian-12"):
        images.reference("ubuntu-9")


def test_the_images_settings_for_cloud_init_are_valid():
    assert yaml.safe_load(images.CLOUD_CFG)["datasource_list"] == ["NoCloud"]
    assert json.dumps(images.SOURCES).count("{suite}") == 3

"""A stage's apply and destroy keep their hands off a folder that is another stage's."""

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs import stack

from rehearsal.cloud import server


class Said:
    """Takes what a job reports."""

    def hide(self, values):
        list(values)

    def event(self, row):
        pass

    def notice(self, text):
        pass


def apply(variables, stage, state="present", networks=None, prune=False):
    connection = {
        "endpoint": variables["YC_ENDPOINT"],
        "root_certificates": variables["YC_ROOT_CERTIFICATES"],
        "service_account_key_file": variables["YC_SERVICE_ACCOUNT_KEY_FILE"],
        "folder": variables["YC_FOLDER_ID"],
    }
    request = {
        "connection": connection, "stage": stage, "app": "digits", "resources": {"vpc_network": networks or {"main": {}}},
        "state": state, "check": False, "workers": 4, "prune": prune,
    }  # fmt: skip
    return stack.run(request, Said())["results"]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_another_stages_folder_is_refused_untouched(tmp_path, state):
    emulator = server.start(tmp_path)
    try:
        assert apply(emulator.env, "partners")[0]["changed"]
        before = emulator.cloud.all("vpc.v1.Network")
        with pytest.raises(Fail, match="belongs to the stage partners.*nothing was touched"):
            apply(emulator.env, "prod", state)
        assert emulator.cloud.all("vpc.v1.Network") == before
        assert not apply(emulator.env, "partners")[0]["changed"]
    finally:
        emulator.stop()


def test_what_is_renamed_is_not_pruned_under_its_old_name(tmp_path):
    emulator = server.start(tmp_path)
    try:
        apply(emulator.env, "partners")
        (before,) = emulator.cloud.all("vpc.v1.Network")
        renamed = {"wide": {"renamed_from": "main"}}
        (row,) = apply(emulator.env, "partners", networks=renamed, prune=True)
        assert row["changed"] and row["item"] == "vpc_network wide"
        assert [(n.id, n.name) for n in emulator.cloud.all("vpc.v1.Network")] == [(before.id, "wide")]
    finally:
        emulator.stop()

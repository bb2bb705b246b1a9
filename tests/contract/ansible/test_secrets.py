"""Secrets reach who needs them and nobody else."""

from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import ask
from ansible_runs import calls, marked, stack, wait_until

PASSWORD = "correct-horse-battery-staple"
DECLARED = [
    {
        "lockbox_secret": {
            "name": "database",
            "entries": [{"key": "password", "text": PASSWORD}, {"key": "user", "text": "app"}],
        }
    }
]
LOOKUP = "lookup('stagecraft.platform.lockbox', {}) "


def check(*that):
    return {"ansible.builtin.assert": {"that": list(that), "quiet": True}}


def test_a_secret_is_asked_for_once_a_run_and_shown_nowhere(play, cloud, variables, short_folder):
    password = LOOKUP.format("'database', key='password'")
    refused = [{"lockbox_secret": {"name": "refused", "entries": [{"key": "password", "text": PASSWORD}]}}]
    cloud.faults.add("lockbox.v1.SecretService.Create", code="INVALID_ARGUMENT", message=f"bad value {PASSWORD} given")
    made = play(stack(refused), stack(DECLARED), stack(DECLARED), options=("-vvv", "--diff"))
    bad, first, second = made.results
    assert "INVALID_ARGUMENT: bad value ******** given" in bad["msg"]
    assert first["changed"] and not second["changed"], first
    assert PASSWORD not in made.output + str(made.results)
    run = play(
        check(
            f"{password} == '{PASSWORD}'",
            LOOKUP.format("'database'") + " | length == 2",
            LOOKUP.format("'none', on_missing='none'") + " is none",
            LOOKUP.format("'database', key='no', on_missing='none'") + " is none",
        ),
        check(f"{password} | length == {len(PASSWORD)}"),
        {"ansible.builtin.debug": {"msg": "{{ " + LOOKUP.format("'database', key='no'") + " }}"}},
        {"ansible.builtin.debug": {"msg": "{{ " + LOOKUP.format("'none'") + " }}"}},
        {
            "ansible.builtin.debug": {
                "msg": "{{ " + LOOKUP.format("'database', endpoint='127.0.0.1:9', retry_time=1") + " }}"
            }
        },
        hosts="a,b",
    )
    *fine, key, secret, down = run.results
    assert not any(result["failed"] for result in fine), fine
    assert "secret database has no entry no; it has: password, user" in str(key["msg"])
    assert "there is no secret none in folder" in str(secret["msg"])
    assert "UNAVAILABLE" in str(down["msg"])
    assert len(calls(cloud, "PayloadService.Get")) == 1
    wait_until(lambda: not marked(variables["STAGECRAFT_TEST_MARK"]), 15)
    assert not list(short_folder.glob("stagecraft-*/*"))


def test_no_process_carries_a_secret_where_others_can_see_it(variables, cloud, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    seen = []
    other = [{"lockbox_secret": {"name": "other", "entries": [{"key": "password", "text": PASSWORD}]}}]
    request = {"connection": {}, "resources": other, "state": "present", "check": False, "workers": 2}
    request |= {"stage": "s", "app": None, "prune": False}
    ask("stack", request, lambda event: seen.extend(marked(variables["STAGECRAFT_TEST_MARK"])))
    assert seen and not any(PASSWORD.encode() in text for _, text in seen)

"""Secrets reach who needs them and nobody else."""

import threading

from ansible_runs import calls, marked, stack
from waiting import wait_for

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
    wait_for("the end of its processes", lambda: not marked(variables["STAGECRAFT_TEST_MARK"]), 15)
    assert not list(short_folder.glob("stagecraft-*/*"))


def test_no_process_carries_a_secret_where_others_can_see_it(play, cloud, variables):
    """The processes of a run are looked at all the time, and the cloud takes its time, so that each is seen at work."""
    cloud.faults.add("lockbox.v1.SecretService.Create", effect="slow", delay=0.5, count=2)
    one, other = (
        {"name": name, "entries": [{"key": "password", "text": PASSWORD}]} for name in ("by-stack", "by-module")
    )
    seen, ended = set(), threading.Event()

    def look():
        while not ended.wait(0.1):
            seen.update(text for _, text in marked(variables["STAGECRAFT_TEST_MARK"]))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        made = play(stack([{"lockbox_secret": one}]), {"stagecraft.platform.yc_lockbox_secret": other}).results
    finally:
        ended.set()
        looking.join()
    assert all(result["changed"] for result in made), made
    for process in (b"ansible-playbook", b"cloud_worker", b"AnsiballZ_yc_lockbox_secret"):
        assert any(process in text for text in seen), process
    assert not [text for text in seen if PASSWORD.encode() in text]

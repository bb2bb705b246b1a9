"""What a person sees of a run: a line a play, which says what changed even where something failed."""

import io

from rich.console import Console

from stagecraft.progress import Progress


def seen(tmp_path, *events: tuple[str, dict]) -> str:
    out = io.StringIO()
    with Progress(Console(file=out, width=200), "demo", tmp_path / "detail") as progress:
        for name, data in events:
            progress.handle({"event": name, "event_data": data})
    return out.getvalue()


CLOUD = ("playbook_on_play_start", {"name": "Cloud"})


def test_what_a_failed_task_has_changed_is_counted(tmp_path):
    failed = {"host": "localhost", "task": "The stage's resources", "res": {"changed": True, "msg": "2 of 9 failed"}}
    said = seen(tmp_path, CLOUD, ("runner_on_failed", failed))
    assert "FAILED on localhost: The stage's resources\n    2 of 9 failed\n" in said
    assert said.splitlines()[-1].split() == ["Cloud", "0s", "1", "changed"]


def test_a_play_that_did_nothing_has_no_line(tmp_path):
    assert seen(tmp_path, CLOUD) == ""
    same = ("runner_on_ok", {"host": "localhost", "res": {"changed": False}})
    assert seen(tmp_path, CLOUD, same).split() == ["Cloud", "0s", "nothing", "changed"]

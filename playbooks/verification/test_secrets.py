"""No secret of the stage is in a journal, a process list, a unit file, or a log: on the machines, and of the runs."""

import base64
import pathlib

SEARCH = r"""
import pathlib, subprocess
needles = {name: [part.encode() for part in parts] for name, parts in given.items()}
found = []
def look(where, data):
    found.extend(f"{name} in {where}" for name, parts in needles.items() if any(p in data for p in parts))
look("the journal", subprocess.run(["journalctl", "--no-pager", "-o", "export"], capture_output=True).stdout)
for cmdline in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    try:
        look(f"the command line of {cmdline.parent.name}", cmdline.read_bytes())
    except OSError:
        pass
for folder in ("/etc/systemd", "/lib/systemd/system", "/run/systemd/system", "/var/log"):
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file() and "/journal/" not in str(path):
            look(str(path), path.read_bytes())
print(json.dumps(sorted(set(found))))
"""


def parts(value):
    """What to look for: the value as it is, and of a key in PEM its lines, one of which is enough to know it by."""
    if "PRIVATE KEY" in value:
        return [line for line in value.splitlines() if len(line) > 40][1:3] or [value.splitlines()[1]]
    return [value, base64.b64encode(value.encode()).decode().rstrip("=")]


def needles(stage):
    """Every secret value of the stage by name; certificates, public keys and key ids are no secrets."""
    public = ("certificate", "public_key", "key_id", "access_key_id")
    return {
        f"{name}/{key}": parts(value)
        for name, entries in stage.facts["secrets"].items()
        for key, value in entries.items()
        if key not in public
    }


def test_no_secret_on_the_machines(stage):
    wanted = needles(stage)
    assert wanted
    assert {name: stage.ask(name, SEARCH, wanted) for name in stage.machines()} == {n: [] for n in stage.machines()}


def test_no_secret_in_the_logs_of_the_runs(stage):
    found = [
        f"{name} in {log}"
        for log in pathlib.Path(stage.facts["logs"]).rglob("*")
        if log.is_file()
        for name, values in needles(stage).items()
        if any(value in log.read_text(errors="replace") for value in values)
    ]
    assert found == []

"""No secret of the stage is in a journal, a process list, a unit file, or a log: on the machines, and of the runs."""

import base64
import os
import pathlib
import zlib

COLLECT = r"""
import base64, pathlib, subprocess, zlib
said = {"the journal": subprocess.run(["journalctl", "--no-pager", "-o", "export"], capture_output=True).stdout}
for cmdline in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    try:
        said[f"the command line of {cmdline.parent.name}"] = cmdline.read_bytes()
    except OSError:
        pass
for folder in ("/etc/systemd", "/lib/systemd/system", "/run/systemd/system", "/var/log"):
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file() and "/journal/" not in str(path):
            said[str(path)] = path.read_bytes()
print(json.dumps({where: base64.b64encode(zlib.compress(text)).decode() for where, text in said.items()}))
"""


def parts(value):
    """What to look for: the value as it is, and of a key in PEM its lines, one of which is enough to know it by."""
    if "PRIVATE KEY" in value:
        return [line for line in value.splitlines() if len(line) > 40][1:3] or [value.splitlines()[1]]
    return [value, base64.b64encode(value.encode()).decode().rstrip("=")]


def needles(stage):
    """Every secret value of the stage by name; certificates, public keys, key ids and dates are no secrets."""
    public = ("certificate", "public_key", "key_id", "access_key_id", "until")
    return {
        f"{name}/{key}": parts(value)
        for name, entries in stage.facts["secrets"].items()
        for key, value in entries.items()
        if key.removeprefix("next_").removeprefix("previous_") not in public
    }


def found(wanted, where, text):
    return [f"{name} in {where}" for name, values in wanted.items() if any(value.encode() in text for value in values)]


def test_no_secret_on_the_machines(stage):
    """What the machines say comes here to be searched: no machine is told another one's secrets."""
    wanted, seen = needles(stage), []
    assert wanted
    for name in stage.machines():
        said = stage.ask(name, COLLECT)
        assert len(said) > 50  # the journal, processes and units are among it
        for where, text in said.items():
            seen += found(wanted, f"{where} of {name}", zlib.decompress(base64.b64decode(text)))
    assert seen == []


def test_no_secret_in_the_logs_of_the_runs(stage):
    state = pathlib.Path(stage.facts["logs"]).parent
    logs = [*state.glob("logs/*.log"), *state.glob("rehearsal/logs/*"), *state.glob("rehearsal/**/journal.jsonl")]
    assert logs or "STAGECRAFT_PROGRESS" not in os.environ, "the command writes a log, and there is none"
    assert [line for log in logs for line in found(needles(stage), log, log.read_bytes())] == []

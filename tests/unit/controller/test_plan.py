"""A plan as a person, a program and a later run read it."""

from __future__ import annotations

import dataclasses
import io
import json
import re

import pytest
from rich.console import Console
from test_command import run

from stagecraft.plan import downtime, markdown, page, saved, terminal, words
from stagecraft.plan.model import Change, Field, Host, Origin, Plan, of_check, read
from stagecraft.stages import Refused

MONITORING = {"prometheus": "reload", "alertmanager": "restart", "systemd-journald": "restart"}
ORIGIN = Origin("partners", "rehearsal", "b1g", "c" * 40, "d" * 64)
PLAN = Plan(
    ORIGIN,
    (
        Change("vpc_network main", "create", wanted={"labels": {"stagecraft-stage": "partners", "team": "a"}}),
        Change("storage_bucket <models>", "change", fields=(Field("max_size", "50GB", "60GB"), Field("x[]", "`old`", None))),
        Change("compute_instance edge-1", "replace", "only a new one can have another zone"),
        Change("compute_instance backend-1", "change", fields=(Field("cores", 2, 4),), stops=("cores",)),
        Change("vpc_gateway old", "delete"),
    ),
    ("vpc_address forgotten",),
    (
        Host("backend-2", files=("/etc/a.conf",), packages=("nginx",), units={"nginx": "restart"}, digest="1"),
        Host("monitoring-1", units=MONITORING, tasks=("Do it",), digest="2"),
        Host("edge-1", True, ("base", "nginx")),
    ),
    ("backend-1", "backend-2", "edge-1", "monitoring-1"),
)  # fmt: skip


def test_the_closing_line_counts_resources_and_machines_whose_content_changes():
    assert PLAN.closing() == "partners: 1 to create, 4 to change, 1 to replace, 1 to delete, 1 undeclared"
    assert not PLAN.empty and Plan(ORIGIN, undeclared=("vpc_network x",)).empty


def test_json_is_read_back_as_it_was():
    assert read(json.loads(json.dumps(PLAN.to_json()))) == PLAN


def shown(width: int) -> str:
    out = io.StringIO()
    terminal.show(PLAN, Console(file=out, width=width, force_terminal=True, color_system=None, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [30, 80])
def test_no_line_is_wider_than_the_terminal(width):
    lines = shown(width).splitlines()
    closing = lines.index(PLAN.closing())
    assert closing == len(lines) - 1, "it stays whole, for programs that look for it"
    assert max(map(len, lines[:closing])) <= width


def test_what_is_said_of_each():
    text = shown(200)
    for line in (
        "+ create  vpc_network main\n    labels: {team: a}\n",
        "    max_size: 50GB → 60GB\n",
        "! replace  compute_instance edge-1: only a new one can have another zone\n",
        "    it is stopped for cores, and started again\n",
        "? undeclared  vpc_address forgotten\n",
        "    nginx restarts\n    packages: nginx\n    file /etc/a.conf\n",
        "    does not exist yet; gets base, nginx\n",
    ):
        assert line in text, line


def test_markdown_and_html_say_the_same_and_are_not_led_astray_by_names():
    text, html = markdown.written(PLAN), page.written(PLAN, "<svg>picture</svg>")
    assert (
        "### To change\n\n- `storage_bucket <models>`\n    - `max_size: 50GB → 60GB`\n    - `` x[]: - `old` ``\n"
        in text
    )
    assert "storage_bucket &lt;models&gt;" in html and "<svg>picture</svg>" in html
    assert PLAN.closing() in text and PLAN.closing() in html
    assert not re.search(r"""(src|href)\s*=|@import|url\(""", html), "the page needs something else"


def stopping(machine: str) -> Change:
    return Change(f"compute_instance {machine}", "change", stops=("cores",))


def test_what_has_others_beside_it_is_not_away():
    found = {outage.what: outage.seconds for outage in downtime.outages(PLAN)}
    assert found == {
        "edge-1: a new machine": downtime.NEW,
        "backend-1: stopped and started": 0,
        "backend-2: nginx restarts": 0,
        "monitoring-1: alertmanager restarts": downtime.RESTART,
    }
    assert downtime.total(PLAN) == downtime.NEW + downtime.RESTART
    both = dataclasses.replace(
        PLAN, changes=tuple(Change(f"compute_instance backend-{n}", "change", stops=("cores",)) for n in (1, 2))
    )
    assert [outage.seconds for outage in downtime.outages(both)][:2] == [downtime.STOPPED] * 2, "both stop at once"
    assert "estimated downtime: 5m05s" in words.away(PLAN)


def restarting(*names: str, together: bool = False) -> Plan:
    hosts = tuple(Host(n, units={"api": "restart"}, together=("api",) if together else ()) for n in names)
    return Plan(ORIGIN, hosts=hosts, existing=("backend-1", "backend-2"))


def seconds(plan: Plan) -> list[int]:
    return [outage.seconds for outage in downtime.outages(plan)]


def test_machines_that_restart_at_once_do_not_serve_for_each_other():
    assert seconds(restarting("backend-1", "backend-2")) == [0, 0], "one after the other"
    assert seconds(restarting("backend-1", "backend-2", together=True)) == [downtime.RESTART] * 2
    assert downtime.total(restarting("backend-1", "backend-2", together=True)) == downtime.RESTART
    assert seconds(restarting("backend-1", together=True)) == [0], "the other does not restart"
    leaving = dataclasses.replace(restarting("backend-1"), changes=(Change("compute_instance backend-2", "delete"),))
    assert seconds(leaving) == [downtime.RESTART], "a machine that is deleted does not serve"


@pytest.mark.parametrize(("change", "says"), [
    (Change("compute_instance edge-1", "delete"), "edge-1: deleted, the last of its role (for good)"),
    (Change("postgresql_cluster main", "change", fields=(Field("preset", "s3-c2-m8", "s3-c4-m16"),)),
     "postgresql_cluster main: another preset (about 2m00s)"),
    (Change("serverless_container api", "replace"), "serverless_container api: made again (about 30s)"),
    (Change("serverless_container api", "delete"), "serverless_container api: deleted (for good)"),
])  # fmt: skip
def test_what_else_is_away(change, says):
    assert says in words.away(Plan(ORIGIN, (change,), existing=("edge-1",)))
    assert words.away(Plan(ORIGIN, (Change("postgresql_cluster main", "change", fields=(Field("x", 1, 2),)),))) == ""


def test_a_name_is_no_command_to_the_terminal():
    plan = Plan(ORIGIN, (Change("vpc_network \x1b[2Jmain\u202e", "delete"),), ("vpc_address a\rb",))
    out = io.StringIO()
    terminal.show(plan, Console(file=out, width=80, highlight=False))
    for text in (out.getvalue(), markdown.written(plan), page.written(plan)):
        assert not {"\x1b", "\r", "\u202e"} & set(text) and r"\x1b[2Jmain\u202e" in text and r"a\rb" in text


def row(item: str, action: str, **more: object) -> dict:
    return {"item": item, "action": action, "why": "", "fields": [], "replaces": [], "stops": [], "wanted": {}, **more}


def test_what_two_tasks_do_to_one_resource_is_one_change():
    rows = [
        row("vpc_network b", "created"),
        row("lockbox_secret a", "updated", why="rotated"),
        row("lockbox_secret a", "created"),
    ]
    extra = [{"kind": "vpc_network", "name": "c", "id": "1"}]
    told = {
        "resources": rows,
        "undeclared": extra,
        "tasks": [],
        "hosts": ["localhost"],
        "machines": [],
        "as_left": [],
        "new_hosts": {},
    }
    plan = of_check(ORIGIN, told)
    assert [(c.item, c.action, c.why) for c in plan.changes] == [
        ("lockbox_secret a", "create", "rotated"), ("vpc_network b", "create", ""),
    ]  # fmt: skip
    assert plan.undeclared == ("vpc_network c",) and plan.existing == ()


def cleared(*rules: str) -> Plan:
    """A plan to take these rules from a group."""
    rows = [row("vpc_security_group web", "updated", fields=[["rules[]", rule, None] for rule in rules])]
    told = {
        "resources": rows,
        "undeclared": [],
        "tasks": [],
        "hosts": [],
        "machines": [],
        "as_left": [],
        "new_hosts": {},
    }
    return of_check(ORIGIN, told)


def test_every_item_that_leaves_a_list_is_said():
    (change,) = cleared("ssh", "dns", "dns").changes
    assert words.details(change) == ["rules[]: - ssh", "rules[]: - dns", "rules[]: - dns"]
    assert cleared("ssh", "dns").digest() != cleared("http", "dns").digest()


def doing(verb: str, *, serial: bool) -> dict:
    task = {"host": "web-1", "role": "", "name": "", "files": [], "packages": [], "digest": ""}
    return {**task, "units": {"nginx": verb}, "serial": serial}


@pytest.mark.parametrize(("verbs", "verb"), [
    (("restart", "start"), "restart"), (("reload", "restart", "reload"), "restart"), (("start", "stop"), "stop"),
    (("start", "reload"), "start"), (("change", "reload"), "reload"),
])  # fmt: skip
def test_the_strongest_that_happens_to_a_unit_is_said(verbs, verb):
    tasks = [doing(one, serial=False) for one in verbs]
    told = {
        "resources": [],
        "undeclared": [],
        "tasks": tasks,
        "hosts": ["web-1"],
        "machines": ["web-2"],
        "as_left": ["web-2"],
        "new_hosts": {},
    }
    plan = of_check(ORIGIN, told)
    assert plan.hosts[0].units == {"nginx": verb} and plan.hosts[0].together == ("nginx",)
    assert plan.existing == ("web-1", "web-2"), "also a machine that was not asked"
    assert "as the last run left them, so that no role went through them: web-2" in words.remarks(plan)
    plan = of_check(ORIGIN, {**told, "tasks": [doing(verb, serial=True)]})
    assert plan.hosts[0].together == ()


@pytest.mark.parametrize(("now", "says"), [
    ({"stage": "mvp"}, "it is a plan of the stage partners, and this is mvp"),
    ({"where": "Yandex Cloud"}, "it is a plan for rehearsal, folder b1g"),
    ({"folder": "b1h"}, "and this is rehearsal, folder b1h"),
    ({"commit": "e" * 40}, "it was made at the commit cccccccccccc, and the checkout is at eeeeeeeeeeee"),
    ({"declarations": "f" * 64}, "the declarations were edited after it was made"),
])  # fmt: skip
def test_a_plan_of_something_else_is_refused(now, says):
    with pytest.raises(Refused) as refused:
        saved.compare(PLAN, dataclasses.replace(ORIGIN, **now))
    assert says in str(refused.value) and "Nothing was touched" in str(refused.value)


def test_a_plan_of_this_is_taken():
    saved.compare(PLAN, ORIGIN)


def test_the_command_that_plans_again_can_be_pasted():
    plan = dataclasses.replace(PLAN, origin=dataclasses.replace(ORIGIN, variables={"note": "a b; $(c)"}))
    assert saved.again(plan, "partners") == "stagecraft plan partners -e 'note=a b; $(c)' --out FILE"


def test_differences_are_named():
    changes = (Change("vpc_network main", "delete"), Change("vpc_network new", "create"))
    now = dataclasses.replace(PLAN, changes=changes, hosts=PLAN.hosts)
    lines = saved.differences(PLAN, now)
    assert "vpc_network new: was not in the plan" in lines and "vpc_gateway old: nothing is left to do" in lines
    assert "vpc_network main: something else is to be done" in lines and not [
        one for one in lines if "monitoring" in one
    ]


def test_a_file_that_is_no_plan_is_refused(tmp_path):
    file = tmp_path / "plan.json"
    saved.write(PLAN, file)
    assert saved.read(file) == PLAN and file.stat().st_mode & 0o777 == 0o600
    good = json.loads(file.read_text())
    for wrong in (
        "",
        "[]",
        "{}",
        json.dumps(good | {"changes": good["changes"][1:]}),
        json.dumps(good | {"hosts": [{}]}),
        json.dumps(good | {"origin": good["origin"] | {"variables": {"prune": True}}}),
    ):
        file.write_text(wrong)
        with pytest.raises(Refused, match="is no plan, or was changed after it was made"):
            saved.read(file)
    file.unlink()
    with pytest.raises(Refused, match="There is no plan"):
        saved.read(file)


@pytest.mark.parametrize(("words", "says"), [
    ((), "No stage named"),
    (("partner",), "Did you mean partners?"),
    (("partners", "--cluod"), "No such option"),
    (("partners", "--json", "--markdown"), "not both"),
    (("partners", "-e", "prun=true"), "nothing reads prun"),
    (("partners",), "Nothing to act on"),
])  # fmt: skip
def test_an_error_is_never_taken_for_something_to_do(tmp_path, words, says):
    done = run(tmp_path, "plan", *words)
    assert done.returncode == 1 and says in done.stderr and done.stdout == ""


@pytest.mark.parametrize(("words", "says"), [
    (("--plan", "none.json"), "There is no plan none.json"),
    (("--plan", "none.json", "-e", "prune=true"), "none of -e, --check and --cloud"),
    (("--plan", "none.json", "--check"), "none of -e, --check and --cloud"),
    (("--plan", "none.json", "--cloud"), "none of -e, --check and --cloud"),
])  # fmt: skip
def test_a_plan_is_applied_as_it_is(tmp_path, words, says):
    done = run(tmp_path, "apply", "partners", *words)
    assert done.returncode == 2 and says in done.stderr

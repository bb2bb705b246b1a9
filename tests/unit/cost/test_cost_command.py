"""The command on the stages that are here, and the playbooks that ask it before they build."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from email.message import Message
from pathlib import Path
from urllib.parse import parse_qs
from xml.etree import ElementTree

import pytest
from json_server import JsonServer

from stagecraft import stages
from stagecraft.cost.reading import changed
from stagecraft.stages import Refused, Stage

SAMPLES = Path(__file__).parent / "samples"
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("YC_", "STAGECRAFT_"))}


def stagecraft(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stagecraft", *arguments]
    environment = PLAIN | {"COLUMNS": "100"}
    done = subprocess.run(command, cwd=stages.ROOT, env=environment, input=given, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done


def cost(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return stagecraft("cost", *arguments, given=given)


def test_every_stage_has_a_price_within_its_budget(tmp_path):
    done = cost("--svg", str(tmp_path / "cost.svg"))
    assert done.returncode == 0, done.stdout + done.stderr
    closing = done.stdout.splitlines()[-len(stages.names()) :]
    for name, line in zip(stages.names(), closing, strict=True):
        assert re.fullmatch(rf"{name}: \d+\.\d\d USD a month, budget \d+\.\d\d", line)
        assert line in (stages.ROOT / "docs" / "cost.md").read_text()  # what the page shows is what the command says
    assert closing[stages.names().index("mvp")] in (stages.ROOT / "docs" / "mvp.md").read_text()
    picture = ElementTree.parse(tmp_path / "cost.svg").getroot()
    assert [line for line in closing if line in picture.find("{*}title").text] == closing


def test_what_if_shows_the_difference_and_an_exceeded_budget_has_a_code_of_its_own():
    done = cost("partners", "--json", "--what-if", "serving.preemptible=true", "--what-if", "budget.monthly=500")
    assert done.returncode == 3, done.stdout + done.stderr
    (told,) = json.loads(done.stdout)
    assert told["over_budget"] is True and told["budget"] == "500"
    # By hand: 4 processors at 1.24 - 0.34 and 16 GB at 0.33 - 0.083, over 730 hours.
    saved = (4 * (Decimal("1.24") - Decimal("0.34")) + 16 * (Decimal("0.33") - Decimal("0.083"))) * 730
    assert abs(Decimal(told["difference"]) + saved / Decimal(told["rates"]["RUB"]["per_dollar"])) < Decimal("0.02")
    assert abs(sum(Decimal(line["monthly"]) for line in told["lines"]) - Decimal(told["monthly"])) < Decimal("0.50")


def test_a_stage_with_a_name_of_its_own_has_a_price_too():
    done = cost("mvp", "--what-if", "domain=api.example.org", "--what-if", "domain_zone=example.org.")
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("mvp: "), done.stdout + done.stderr


def test_measured_use_is_compared_with_what_is_assumed(tmp_path):
    file = tmp_path / "used.yml"
    file.write_text("api_gateway: {api: {requests: 3000000}}\nserverless_container: {api: {seconds: 0.02}}\n")
    done = cost("mvp", "--measured", str(file))
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    # By hand: 2 million more, at 75 roubles a million and 76.0535 for a dollar.
    assert "+1.97 to what is assumed. api_gateway api: requests was 3000000, and 1000000 is assumed" in said
    assert "seconds" not in said
    file.write_text("api_gateway: {apy: {requests: 1}}\n")
    done = cost("mvp", "--measured", str(file))
    assert done.returncode == 2 and "usage names api_gateway apy" in done.stderr and "Did you mean api?" in done.stderr


class Prometheus(JsonServer):
    """Gives the answer of a real one, which had seen two days of two machines, to the query that is asked for use."""

    def answered(self, method: str, path: str, headers: Message, body: bytes) -> tuple[int, object]:
        (query,) = parse_qs(body.decode())["query"]
        if query != (stages.ROOT / "inventories/shared/usage.promql").read_text():
            return 400, {"status": "error", "errorType": "bad_data", "error": f"parse error: {query}"}
        return 200, json.loads((SAMPLES / "prometheus_usage.json").read_text())


def asked(query: str) -> subprocess.CompletedProcess[str]:
    """What Prometheus answers to a query, priced."""
    server = Prometheus()
    try:
        command = ["curl", "-sS", "--data-urlencode", f"query{query}", f"{server.url}/api/v1/query"]
        answer = subprocess.run(command, cwd=stages.ROOT, capture_output=True, text=True, check=True)
    finally:
        server.stop()
    return cost("partners", "--measured", "-", given=answer.stdout)


def test_the_answer_of_prometheus_is_a_measure():
    done = asked("@inventories/shared/usage.promql")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "compute_instance serving-1: hours was 183.45, and 730 is assumed" in said
    assert "vpc_address edge: egress was 26280000000, and 20GB is assumed" in said
    assert "edge-1: hours" not in said, "it ran all month, as is counted"
    # By hand: 546.55 hours less of 4 processors at 1.24 roubles, 16 GB at 0.33 and a T4 at 64; the traffic stays free.
    assert "As it was used, it costs 475.81 USD a month, -533.52 to what is assumed." in said


@pytest.mark.parametrize(("given", "says"), [
    ('{"status": "error", "error": "no such function"}', "-: Prometheus could not answer: no such function"),
    ('{"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}', "the labels kind, name, use"),
    ('{"status": "success", "data": {"result": [{"metric": {}, "value": [1, "2"]}]}}', "the labels kind, name, use"),
    ('{"status": "success", "data": {"resultType": "vector", "result": []}}', "Prometheus has seen nothing"),
    ("[", "-: this is no YAML"),
])  # fmt: skip
def test_what_is_no_measure_is_refused(given, says):
    done = cost("partners", "--measured", "-", given=given)
    assert done.returncode == 2 and says in done.stderr and not done.stdout


def test_stages_that_are_not_there_yet_are_named_with_what_was_thought_of_them():
    said = " ".join(cost().stdout.split())
    assert "prod: first thought to cost about 780 USD. It has no inventory yet, so no price." in said
    assert "prod: first thought" not in cost("mvp").stdout


def test_a_budget_in_another_currency_is_refused_with_its_place(poor):
    file = poor / "inventories/partners/group_vars/all/cost.yml"
    file.write_text(file.read_text().replace("currency: USD", "currency: RUB"))
    command = [sys.executable, "-m", "stagecraft", "cost", "partners"]
    done = subprocess.run(command, cwd=poor, env=PLAIN | {"PYTHONPATH": str(poor)}, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    said = " ".join(done.stderr.split())
    assert (
        "inventories/partners/group_vars/all/cost.yml:3:1: partners: budget.currency is RUB; a budget is in USD" in said
    )


def test_old_prices_are_named_with_a_code_of_their_own():
    done = stagecraft("prices", "check", "--days", "180")
    assert (
        done.returncode == 1
        and "2022-04-13  yandex compute.standard-v3-t4.gpu  inventories/shared/prices/" in done.stdout
    )
    assert re.search(r"\n\d+ of \d+ prices and rates are older than 180 days\n$", done.stdout)
    assert stagecraft("prices", "check", "--days", "100000").returncode == 0


def test_markdown_has_a_table_a_stage_and_one_of_all():
    done = cost("--markdown")
    assert done.returncode == 0 and done.stdout.count("\n| --- |") == len(stages.names()) + 1
    assert "## Side by side" in done.stdout


@pytest.mark.parametrize(("change", "says"), [
    ("serving.preemptible", "say it as path=value"),
    ("servin.preemptible=true", "There is no variable or role of lab servin. Did you mean serving?"),
    ("machines.servin.preemptible=true", "machines.servin is not there"),
    ("budget.mothly=1", "budget has no mothly. Did you mean monthly?"),
    ("app.x=1", "app has no parts to change"),
    ("buckets.c.size=1", "buckets.c is not there"),
])  # fmt: skip
def test_a_change_of_nothing_is_refused(change, says):
    variables = {
        "app": "digits",
        "machines": {"serving": {}},
        "budget": {"monthly": 1},
        "buckets": [{"name": "b", "size": 1}],
    }
    with pytest.raises(Refused) as refused:
        changed(Stage("lab"), variables, change)
    assert says in str(refused.value)


def test_a_change_is_made_to_a_copy():
    variables = {"machines": {"serving": {"cores": 2}}, "buckets": [{"name": "b", "size": 1}]}
    assert changed(Stage("lab"), variables, "serving.cores=4")["machines"] == {"serving": {"cores": 4}}
    assert changed(Stage("lab"), variables, "buckets.b.size=20GB")["buckets"] == [{"name": "b", "size": "20GB"}]
    assert variables["machines"] == {"serving": {"cores": 2}}


@pytest.fixture
def poor(tmp_path):
    """A checkout in which the partners stage may cost next to nothing."""
    for part in ("inventories", "stagecraft", "playbooks"):
        shutil.copytree(stages.ROOT / part, tmp_path / part, symlinks=True)
    for part in ("collections", "roles", "rehearsal", "ansible.cfg"):
        (tmp_path / part).symlink_to(stages.ROOT / part)
    file = tmp_path / "inventories/partners/group_vars/all/cost.yml"
    file.write_text(re.sub(r"monthly: 1100", "monthly: 1", file.read_text()))
    return tmp_path


def built(checkout, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The first play of the stage's playbook."""
    command = [shutil.which("ansible-playbook") or "", "-i", "inventories/partners/controller.yml"]
    command += [
        "playbooks/components/stage.yml",
        "-e",
        "playbook_of=partners",
        "-e",
        '{"takes_lease": false}',
        *arguments,
    ]
    # The copy has its own ansible.cfg as a link: its folder is what the inventory calls the checkout.
    known = {"YC_FOLDER_ID": "b1g", "ANSIBLE_CONFIG": str(checkout / "ansible.cfg"), "PYTHONPATH": str(checkout)}
    known |= {"STAGECRAFT_OPERATORS": "192.0.2.0/24"}  # without them nothing is built, either
    known |= {"ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "1"}  # so that a task tells what it hands over
    return subprocess.run(command, cwd=checkout, env=PLAIN | known, capture_output=True, text=True)


def test_a_playbook_stops_over_the_budget_before_it_touches_anything_unless_told(poor):
    done = built(poor, "--check")
    assert done.returncode == 2 and "TASK [Its lease]" not in done.stdout
    said = " ".join(done.stdout.partition("FAILED!")[2].partition("msg: ")[2].split())
    assert re.match(
        r"'?partners: \d+\.\d\d USD a month, budget 1\.00: it is over its budget, and nothing was touched", said
    )
    done = built(poor, "-e", "over_budget=true", "-e", "serving_gpus=40")
    assert done.returncode == 0 and "changed=0" in done.stdout, done.stdout


def test_a_playbook_is_priced_with_the_variables_of_its_run(tmp_path):
    assert built(stages.ROOT).returncode == 0
    more = tmp_path / "more.yml"
    more.write_text("serving_memory: 1024GB\n")
    for changed_by in ("serving_gpus=40", f"@{more}", '{"budget": {"monthly": 1}}'):
        done = built(stages.ROOT, "--check", "-e", changed_by)
        assert done.returncode == 2 and "it is over its budget, and nothing was touched" in done.stdout, changed_by
        assert "stage_resources" not in done.stdout  # what is handed over may hold a secret


@pytest.mark.parametrize(("declared", "says"), [
    ("text", "stage_resources has to be a dictionary by kind"),
    ([{"vpc_address": {"name": "a"}}, "text"], "stage_resources entry 2 has to be a dictionary by kind"),
    ({"compute_instance": {"m": "x"}}, "compute_instance has to be a dictionary by name"),
])  # fmt: skip
def test_declarations_of_another_form_are_refused(declared, says):
    given = json.dumps({"stage_resources": declared, "usage": {}, "budget": {"monthly": 1}})
    done = within(given)
    assert done.returncode == 2 and says in done.stderr
    assert within("{}").stderr == "standard input has to be JSON with stage_resources, usage and budget.\n"


def test_declarations_may_be_a_list_as_the_engine_takes_them():
    given = {"stage_resources": [{"vpc_address": {"name": "a"}}, {"vpc_network": {"name": "n"}}],
             "usage": {"vpc_address": {"a": {"egress": 0}}}, "budget": {"monthly": 1, "currency": "USD"}}  # fmt: skip
    done = within(json.dumps(given))
    # By hand: 0.264 roubles an hour are 192.72 a month, and those 2.53 dollars.
    assert done.returncode == 3 and "partners: 2.53 USD a month, budget 1.00: it is over its budget" in done.stderr


def within(given: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stagecraft.cost", "partners"]
    done = subprocess.run(command, cwd=stages.ROOT, env=PLAIN, input=given, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done


def test_json_and_markdown_are_not_told_together():
    done = cost("--json", "--markdown")
    assert done.returncode == 2 and done.stderr.strip() == "error: Say --json or --markdown, not both."

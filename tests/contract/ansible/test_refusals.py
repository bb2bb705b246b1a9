"""What can be wrong is said in one message, with what and where and what to do, and nothing is half done."""

import threading
import time
from fnmatch import fnmatch

from ansible_runs import calls, contents, stack
from waiting import wait_for

NETWORK = {"vpc_network": {"name": "main"}}
SUBNET = {"vpc_subnet": {"name": "a", "network": "main", "zone": "ru-central1-a", "cidr": ["10.0.0.0/24"]}}


def test_everything_wrong_is_said_at_once_and_nothing_is_asked(play, cloud):
    before = len(cloud.journal.entries())
    wrong = [
        {"vpc_netwrok": {"name": "x"}},
        {"vpc_subnet": {"name": "b", "network": "main", "zone": "ru-central1-a", "cidrs": ["10.0.0.0/24"]}},
        {"vpc_subnet": {"name": "c", "dhcp": {"domain_nme": "x"}}},
        {"vpc_network": {"name": "twice"}},
        {"vpc_network": {"name": "twice"}},
        {"vpc_network": {"description": "no name"}},
        {"lockbox_secret": {"name": "s", "entries": [{"key": "k", "text": "hunter2hunter2", "no_such": 1}]}},
        "text",
        {"vpc_address": {"name": "new", "zone": "ru-central1-a", "renamed_from": "old"}},
        {"vpc_address": {"name": "old", "zone": "ru-central1-a"}},
    ]
    by_kind = {
        "vpc_subnet": {"b": {"netwrok": "main"}},
        "iam_folder_binding": [{"service_account": "robot", "role": "viewer"}] * 2,
    }
    circle = [
        {"compute_disk": {"name": "data", "zone": "ru-central1-a", "size": "10GB", "snapshot": "nightly"}},
        {"compute_snapshot": {"name": "nightly", "disk": "data"}},
    ]
    several, kinds, round_, prune, text = (
        result["msg"]
        for result in play(
            stack(wrong),
            stack(by_kind),
            stack(circle),
            stack(circle, prune=True),
            stack({"vpc_network": {"main": "text"}}),
        ).results
    )
    assert several.splitlines() == [
        "8 things are wrong in the declarations; nothing was touched:",
        "- entry 1: there is no resource vpc_netwrok (did you mean vpc_network?)",
        "- vpc_subnet b (entry 2): there is no option cidrs (did you mean cidr?)",
        "- vpc_subnet c (entry 3): there is no option dhcp.domain_nme (did you mean domain_name?)",
        "- vpc_network twice is declared twice, as entry 4 and entry 5: take one of the two out",
        "- vpc_network (entry 6): missing required arguments: name",
        "- lockbox_secret s (entry 7): there is no option entries.no_such (there are: key, text)",
        "- entry 8: each entry is one kind of resource with its options, as in vpc_network: {name: main}",
        "- vpc_address new: renamed_from: old is declared too, as entry 10: take one of the two out",
    ]
    assert kinds.splitlines()[1:] == [
        "- vpc_subnet b: there is no option netwrok (did you mean network?)",
        "- iam_folder_binding robot/viewer is declared twice, as iam_folder_binding entry 1 and iam_folder_binding"
        " entry 2: take one of the two out",
    ]
    assert "references form a circle: " in round_ and "take one of them out" in round_
    assert (
        "compute_disk data -> compute_snapshot nightly" in round_
        and "compute_snapshot nightly -> compute_disk" in round_
    )
    assert "prune needs stage" in prune
    assert text.startswith("vpc_network main: its options are a dictionary")
    assert len(cloud.journal.entries()) == before


def test_what_the_cloud_refuses_stops_only_what_needs_it(play, cloud):
    cloud.faults.add("vpc.v1.GatewayService.Create", code="PERMISSION_DENIED", message="no")
    cloud.faults.add("vpc.v1.NetworkService.Create", effect="lose", count=1)
    cloud.faults.add("vpc.v1.AddressService.Create", effect="hang_operation", count=1)
    mixed = [
        NETWORK,
        SUBNET,
        {"vpc_gateway": {"name": "egress"}},
        {"vpc_address": {"name": "slow", "zone": "ru-central1-a"}},
        {
            "vpc_route_table": {
                "name": "r",
                "network": "main",
                "routes": [{"destination": "0.0.0.0/0", "gateway": "egress"}],
            }
        },
        {"vpc_subnet": {"name": "far", "network": "main", "zone": "ru-central1-z", "cidr": ["10.0.1.0/24"]}},
    ]
    second = [
        {"vpc_subnet": {**SUBNET["vpc_subnet"], "zone": "ru-central1-b"}},
        {"vpc_subnet": {**SUBNET["vpc_subnet"], "name": "overlap"}},
    ]
    run = play(stack(mixed, operation_timeout=3), stack(second))
    rows = {row["item"]: row for row in run.results[0]["results"]}
    assert rows["vpc_network main"]["changed"] and rows["vpc_subnet a"]["changed"]
    assert len(calls(cloud, "NetworkService.Create")) == 2  # the answer to the first was lost, both had one key
    assert "PERMISSION_DENIED" in rows["vpc_gateway egress"]["error"]
    assert "not tried" in rows["vpc_route_table r"]["error"]
    assert "ru-central1-z" in rows["vpc_subnet far"]["error"]
    slow = rows["vpc_address slow"]["error"]
    assert "still going on after 3 s (operation " in slow and "run the same again" in slow
    for item in ("vpc_gateway egress", "vpc_subnet far", "vpc_address slow"):
        assert f"{item}: " in run.results[0]["msg"] and f"failed  {item}" in run.output
    frozen, overlap = run.results[1]["results"]
    assert "zone cannot be changed from 'ru-central1-a' to 'ru-central1-b'" in frozen["error"]
    assert "replace: true" in frozen["error"]
    assert "overlap" in overlap["error"]
    cloud.faults.clear()
    gone, left = play(stack(mixed[:4], state="absent"), contents(fail_if_any=True)).results
    assert not gone["failed"], gone["msg"]
    assert not left["failed"], left["msg"]


def test_a_reference_to_nothing_stops_everything_before_anything_is_made(play, cloud):
    """The run, the check and the single module say the same."""
    lost = {**SUBNET["vpc_subnet"], "network": "nowhere"}
    old = {"vpc_network": {"name": "old"}}
    before = len(cloud.journal.entries())
    both, check, single = play(
        stack([NETWORK, {"vpc_subnet": lost}]),
        stack([NETWORK, {"vpc_subnet": lost}]) | {"check_mode": True},
        {"stagecraft.platform.yc_vpc_subnet": lost},
    ).results
    nothing = "vpc_subnet a: network: there is no vpc_network nowhere"
    todo = ": correct the name, declare it in the same list, or create it. Nothing was touched"
    assert both["msg"] == check["msg"] == f"{nothing} (there are: main){todo}"
    assert single["msg"] == f"{nothing}{todo}"
    assert not any(result["changed"] for result in (both, check, single))
    asked = {entry["method"].rpartition(".")[2] for entry in cloud.journal.entries()[before:] if entry["principal"]}
    assert asked == {"List"}

    made, pruned, gone = play(
        stack([old], stage="partners"),
        stack([{"vpc_subnet": {**lost, "network": "old"}}], stage="partners", prune=True),
        stack([old], state="absent"),
    ).results
    assert made["changed"] and gone["changed"]
    assert pruned["msg"] == "vpc_subnet a: network: prune deletes vpc_network old: declare it. Nothing was touched"


def test_an_outage_is_shown_while_it_lasts(play, cloud):
    """By the task that meets it: the one that takes the lease, and the stack."""
    tasks = {
        "iam.v1.ServiceAccountService.*": {"stagecraft.platform.yc_lease": {"ttl": "60s"}},
        "vpc.v1.NetworkService.List": stack([NETWORK]),
    }
    for method, task in tasks.items():
        cloud.faults.add(method, code="UNAVAILABLE", count=None)
        noted = len(cloud.journal.entries())
        clear = threading.Thread(target=clear_later, args=(cloud, method, noted))
        clear.start()
        run = play(task, stack([NETWORK], state="absent"))
        clear.join()
        assert not any(result["failed"] for result in run.results), run.output
        lines = [line for line in run.output.splitlines() if line.startswith("  retrying ")]
        assert len(lines) == 1 and f"  retrying {method.rpartition('.')[0]}." in lines[0], run.output
        assert "(UNAVAILABLE), attempt " in lines[0]


def clear_later(cloud, method, noted):
    """End the outage when it has lasted for some seconds of the run that met it."""
    wait_for(method, lambda: any(fnmatch(entry["method"], method) for entry in cloud.journal.entries()[noted:]), 60)
    time.sleep(4)
    cloud.faults.clear()


def test_credentials_and_places_that_cannot_work(play, cloud, tmp_path):
    key = tmp_path / "key.json"
    key.write_text("{}")
    runs = play(
        stack([NETWORK], auth="metadata"),
        stack([NETWORK], service_account_key_file=str(tmp_path / "nothing.json")),
        stack([NETWORK], service_account_key_file=str(key)),
        stack([NETWORK], iam_token="t1.wrong-token-wrong"),
        stack([NETWORK], endpoint="127.0.0.1:9", retry_time=1),
        stack([NETWORK], folder="b1gnobody"),
        stack([NETWORK], root_certificates=str(key)),
        contents(endpoint="127.0.0.1:9", retry_time=1),
    ).results
    said = [
        ["auth: metadata", "127.0.0.1:9"],
        ["nothing.json", "cannot be read"],
        ["has no id", "yc iam key create"],
        ["UNAUTHENTICATED", "option iam_token"],
        ["UNAVAILABLE", "127.0.0.1:9", "YC_ENDPOINT"],
        ["vpc_network main", "b1gnobody"],
        ["key.json holds no certificate"],
        ["UNAVAILABLE", "127.0.0.1:9"],
    ]
    for result, texts in zip(runs, said, strict=True):
        assert result["failed"] and not result["changed"], result
        for text in texts:
            assert text in result["msg"], result["msg"]
    assert "wrong-token" not in str(runs)

"""What can be wrong is said in one message, with what and where and what to do, and nothing is half done."""

from ansible_runs import calls, contents, stack

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
    ]
    circle = [
        {"vpc_subnet": {"name": "a", "network": "main", "zone": "z", "cidr": ["10.0.0.0/24"], "route_table": "r"}},
        {"vpc_route_table": {"name": "r", "network": "main", "routes": []}},
    ]
    several, prune, kind = play(
        stack(wrong), stack(circle, prune=True), stack({"vpc_network": {"main": "text"}})
    ).results
    for text in (
        "there is no resource vpc_netwrok",
        "vpc_network",
        "cidrs",
        "domain_nme",
        "domain_name",
        "twice is declared twice",
        "missing required arguments: name",
        "no_such",
        "entry 8",
    ):
        assert text in several["msg"], text
    assert "hunter2" not in str(several)
    assert "prune needs stage" in prune["msg"]
    assert "vpc_network main: its options are a dictionary" in kind["msg"]
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
        {"vpc_subnet": {"name": "lost", "network": "nowhere", "zone": "ru-central1-a", "cidr": ["10.0.2.0/24"]}},
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
    assert "vpc_network nowhere" in rows["vpc_subnet lost"]["error"]
    slow = rows["vpc_address slow"]["error"]
    assert "still going on after 3 s (operation " in slow and "run the same again" in slow
    for item in ("vpc_gateway egress", "vpc_subnet far", "vpc_subnet lost", "vpc_address slow"):
        assert f"{item}: " in run.results[0]["msg"] and f"failed  {item}" in run.output
    frozen, overlap = run.results[1]["results"]
    assert "zone cannot be changed from 'ru-central1-a' to 'ru-central1-b'" in frozen["error"]
    assert "replace: true" in frozen["error"]
    assert "overlap" in overlap["error"]
    cloud.faults.clear()
    gone, left = play(stack(mixed[:4], state="absent"), contents(fail_if_any=True)).results
    assert not gone["failed"], gone["msg"]
    assert not left["failed"], left["msg"]


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

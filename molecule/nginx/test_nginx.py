"""What the edge answers."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from waiting import wait_for

SHARED = Path(__file__).parents[1] / "shared"
STATE = Path(os.environ["STAGECRAFT_MOLECULE_STATE"])
CURL = "curl --silent --show-error --max-time 20"
URL = "https://localhost"


@pytest.fixture(autouse=True)
def rested(host):
    """Wait until the rate limit and the passive health checks have forgotten the test before."""
    yield
    time.sleep(1.2)


def ports(host, path="/", count=12, options=""):
    """Which backends answer `count` requests, made one after the other."""
    line = f"for i in $(seq {count}); do {CURL} {options} {URL}{path}; echo; done"
    return [json.loads(answer)["port"] for answer in host.check_output(line).split("\n") if answer]


def converge(name, drained=(), succeeds=True):
    """Run the role again on the one host with these backends drained; what Ansible said."""
    inventories = [f"--inventory={SHARED / 'inventory.yml'}", f"--inventory={STATE / 'nginx.json'}"]
    variables = json.dumps({"nginx_drained_backends": list(drained)})
    done = subprocess.run(
        ["ansible-playbook", *inventories, f"--limit={name}", f"--extra-vars={variables}", "converge.yml"],
        cwd=Path(__file__).parent,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is succeeds and f"{name} " in done.stdout, done.stdout
    return done.stdout


def headers(host, options="", url=URL):
    answer = host.check_output(f"{CURL} --dump-header - --output /dev/null {options} {url}/").replace("\r", "")
    status, *lines = answer.strip().split("\n")
    return status, {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


def test_port_80_redirects(host):
    status, found = headers(host, url="http://localhost")
    assert " 308 " in status and found["location"] == "https://localhost/"


def test_http_2_and_modern_tls_only(host):
    assert host.check_output(f"{CURL} -o /dev/null -w '%{{http_version}} %{{ssl_verify_result}}' {URL}/") == "2 0"
    assert host.run(f"{CURL} --tlsv1.2 --tls-max 1.2 {URL}/").rc == 0
    assert host.run(f"{CURL} --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 {URL}/").rc == 35


def test_headers_protect_and_give_nothing_away(host):
    _, found = headers(host)
    assert found["strict-transport-security"].startswith("max-age=")
    assert found["x-content-type-options"] == "nosniff" and found["x-frame-options"] == "DENY"
    assert "content-security-policy" in found
    assert found["server"] == "nginx"


def test_both_backends_take_part(host):
    assert set(ports(host)) == {8441, 8442}


def test_a_backend_learns_who_asked_and_cannot_be_lied_to(host):
    said = json.loads(host.check_output(f"{CURL} -H 'X-Forwarded-For: 1.2.3.4' {URL}/"))["headers"]
    assert said["X-Forwarded-For"] == "127.0.0.1" and said["X-Forwarded-Proto"] == "https"
    assert said["Host"] == "localhost" and len(said["X-Request-ID"]) == 32


def test_a_backend_that_is_gone_is_not_missed(host):
    """Not one request fails, POST among them: what could not be sent may be sent elsewhere."""
    host.check_output("systemctl stop backend-8441")
    try:
        assert set(ports(host)) == {8442}
        assert set(ports(host, options="--data x")) == {8442}
    finally:
        host.run("systemctl reset-failed backend-8441")
        host.check_output("systemd-run --unit=backend-8441 --remain-after-exit /opt/backend.py 8441 /opt/backend.pem")
        time.sleep(11)  # fail_timeout
    assert set(ports(host)) == {8441, 8442}


def test_an_answer_of_503_is_repeated_elsewhere_for_get_and_never_for_post(host, journal):
    assert set(ports(host, "/broken-get")) == {8442}
    time.sleep(11)  # until the backend that answered 503 is asked again
    line = f"for i in $(seq 6); do {CURL} --data x -o /dev/null -w '%{{http_code}}\\n' {URL}/broken-post; done"
    assert "503" in host.check_output(line)
    assert journal("-u backend-8441 -u backend-8442").count("POST /broken-post") == 6
    time.sleep(11)


def test_a_backend_with_a_strangers_certificate_gets_no_request(host, journal):
    where = "--resolve stranger.molecule.internal:443:127.0.0.1 --insecure"
    answer = host.check_output(f"{CURL} {where} -w ' %{{http_code}}' https://stranger.molecule.internal/")
    assert '"status":502' in answer and answer.endswith(" 502")
    assert "GET" not in journal("-u backend-8443")


def test_limits_answer_with_problem_details(host):
    host.check_output("head -c 100000 /dev/zero > /tmp/large")
    answer = host.check_output(f"{CURL} --data-binary @/tmp/large -w ' %{{http_code}} %{{content_type}}' {URL}/")
    assert '"status":413' in answer and answer.endswith(" 413 application/problem+json")
    many = host.run(f"{CURL} --parallel --parallel-max 10 --include '{URL}/?[1-400]'").stdout.lower()
    assert many.count("http/2 200") >= 50 and many.count("http/2 429") >= 1
    assert many.count("http/2 429") == many.count("retry-after: 1") == many.count('"status":429')


def test_what_is_closed_and_what_is_not_here(host):
    assert '"status":404' in host.check_output(f"{CURL} {URL}/metrics")
    assert '"status":421' in host.check_output(f"{CURL} -H 'Host: other.example' {URL}/")


def test_the_log_is_json_without_secrets(host):
    host.check_output(f"{CURL} -H 'Authorization: Bearer s3cret-token' '{URL}/logged?api_key=s3cret-query'")
    log = host.file("/var/log/nginx/access.log").content_string
    last = json.loads(log.strip().split("\n")[-1])
    assert last["path"] == "/logged" and last["status"] == "200" and last["tls"] == "TLSv1.3"
    assert "s3cret" not in log


def test_a_reload_as_for_a_new_certificate_keeps_the_master_and_answers_what_was_sent(host):
    before = host.check_output("systemctl show -p MainPID --value nginx")
    ask = f'{CURL} -o /dev/null -w "%{{http_code}}/%{{exitcode}}\\n" {URL}/'
    load = f"sh -c 'for i in $(seq 30); do {ask}; done' > /tmp/load"
    host.check_output(f"{load} & sleep 0.2; systemctl reload nginx; wait")
    answers = host.file("/tmp/load").content_string.split()
    # A worker that leaves closes connections that have brought no request yet; clients repeat those (RFC 9113, 8.7).
    assert set(answers) - {f"000/{closed}" for closed in (16, 35, 52, 92)} == {"200/0"} and answers.count("200/0") >= 29
    assert host.check_output("systemctl show -p MainPID --value nginx") == before


def test_a_backend_is_drained_stopped_and_back_without_a_failed_request(host):
    """POSTs of a second each, which nobody may repeat: one that is cut off would be a failed one."""
    name = host.backend.name
    ask = f'{CURL} --max-time 60 --data x -o /dev/null -w "%{{http_code}}\\n" {URL}/slow >> /tmp/client'
    loops = " ".join(
        f"while :; do {ask} {options}; done &" for options in ("--http1.1", "--http1.1", "--http2", "--http2")
    )
    host.check_output(f"rm -f /tmp/client; systemd-run --unit=client --collect sh -c '{loops} wait'")
    try:
        converge(name, drained=["one"])
        host.check_output("systemctl stop backend-8441")
        assert set(ports(host)) == {8442}
        host.check_output("systemd-run --unit=backend-8441 --remain-after-exit /opt/backend.py 8441 /opt/backend.pem")
        converge(name)
        # The client's slow requests may lie so for a moment that one of them always has fewer.
        wait_for("both backends", lambda: set(ports(host)) == {8441, 8442}, 20)
    finally:
        host.check_output("systemctl stop client")
    codes = host.file("/tmp/client").content_string.split()
    assert len(codes) > 20 and set(codes) == {"200"}


def test_the_command_takes_a_backend_out_and_back_and_leaves_the_file_as_it_was(host):
    site, command = "/etc/nginx/sites/api.conf", "/usr/local/sbin/nginx-backend"
    before = host.file(site).content_string
    assert host.check_output(f"{command} down one") == "changed: one is down"
    assert set(ports(host)) == {8442}
    assert host.check_output(f"{command} down one") == "unchanged"
    last = host.run(f"{command} down two")
    assert last.rc == 1 and "two is the last backend of" in last.stderr
    assert host.check_output(f"{command} up one") == "changed: one is up"
    assert set(ports(host)) == {8441, 8442} and host.file(site).content_string == before
    for wrong, said in (("down nobody", "no site has a backend nobody"), ("away one", "neither down nor up")):
        refused = host.run(f"{command} {wrong}")
        assert refused.rc == 1 and said in refused.stderr


def test_the_last_backend_cannot_be_drained(host):
    said = converge(host.backend.name, drained=["one", "two"], succeeds=False)
    assert "each site needs one" in said and "Nothing was touched" in said
    assert set(ports(host)) == {8441, 8442}

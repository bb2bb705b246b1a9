"""What the service answers, and to whom; what it leaves in PostgreSQL; what its unit lets it do."""

import json

from waiting import wait_for

URL = "https://$(hostname):8443"
POSTGRESQL = "postgresql@$(ls /etc/postgresql)-main"
KEY = "molecule-api-key-0123456789-0123456789"
CURL = "curl --silent --show-error --max-time 20"
AUTHORIZED = f"{CURL} -H 'Authorization: Bearer {KEY}'"
ROW = json.dumps([float(number % 17) for number in range(64)])
EXPOSURE = 1.2  # what systemd-analyze says now; 0 would be perfect confinement


def predict(host, body=f'{{"inputs": [{ROW}, {ROW}]}}'):
    """Status and document of a prediction."""
    told = host.run(f"{AUTHORIZED} -w '\\n%{{http_code}}' -d '{body}' {URL}/v1/predict/digits").stdout
    document, _, status = told.rpartition("\n")
    return int(status), json.loads(document) if document else {}


def query(host, statement):
    """One value from the database."""
    return host.check_output(f'runuser -u postgres -- psql -p 6432 -Atc "{statement}" inference')


def test_a_prediction_and_its_record(host):
    status, answer = predict(host)
    assert status == 200
    assert answer["version"] == "2" and len(answer["outputs"]["label"]) == 2
    where = f"FROM inference_api.predictions WHERE id = '{answer['id']}'"
    wait_for("the record", lambda: query(host, f"SELECT client, model, version, rows {where}") == "tester|digits|2|2")
    assert query(host, f"SELECT output->'label' {where}") == json.dumps(answer["outputs"]["label"])


def test_the_open_inference_protocol(host):
    model = json.loads(host.check_output(f"{AUTHORIZED} {URL}/v2/models/digits"))
    assert model["versions"] == ["1", "2"] and model["inputs"][0]["shape"] == [-1, 64]


def test_errors_are_problem_documents(host):
    for body, code in (("[", 400), ('{"inputs": [1]}', 400), ("x" * 100_001, 413)):
        host.run(f"head -c 0 /dev/null; printf '%s' '{body}' > /tmp/body")
        told = host.check_output(
            f"{AUTHORIZED} -o /dev/null -w '%{{http_code}} %{{content_type}}' --data-binary @/tmp/body"
            f" {URL}/v1/predict/digits"
        )
        assert told == f"{code} application/problem+json"


def test_without_a_key_only_health_and_metrics_answer(host):
    for path, code in (("/v2/models", 401), ("/v2", 401), ("/readyz", 200), ("/healthz", 200), ("/metrics", 200)):
        assert host.check_output(f"{CURL} -o /dev/null -w '%{{http_code}}' {URL}{path}") == str(code), path
    wrong = (
        f"{CURL} -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {KEY}x' -d '{{}}' {URL}/v1/predict/digits"
    )
    assert host.check_output(wrong) == "401"


def test_metrics_count_over_both_workers(host):
    def count():
        lines = host.check_output(f"{CURL} {URL}/metrics").splitlines()
        name = 'inference_api_requests_total{model="digits",code="200"}'
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    before = count()
    for _ in range(6):
        assert predict(host)[0] == 200
    assert count() == before + 6


def test_plain_http_old_tls_and_loopback_are_refused(host):
    assert host.run(f"{CURL} {URL.replace('https', 'http')}/healthz").rc != 0
    assert host.run(f"{CURL} --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 {URL}/healthz").rc != 0
    assert host.run(f"{CURL} --insecure https://127.0.0.1:8443/healthz").rc == 7


def test_the_command_on_the_machine(host):
    entries = [json.loads(line) for line in host.check_output("inference-api keys list").splitlines()]
    assert [(entry["name"], entry["disabled"]) for entry in entries] == [("tester", False)]
    assert KEY not in query(host, "SELECT api_keys::text FROM inference_api.api_keys")
    refused = host.run("echo short | inference-api keys set other")
    assert refused.rc == 1 and "at least 32" in refused.stderr


def test_postgresql_and_triton_may_go_and_come_back(host):
    host.check_output(f"systemctl stop {POSTGRESQL}")
    try:
        answers = [predict(host) for _ in range(5)]
        assert {status for status, _ in answers} == {200}
        wait_for(
            "what it waits for",
            lambda: json.loads(host.check_output(f"{CURL} {URL}/readyz"))["waiting_for"] == ["postgresql"],
        )
    finally:
        host.check_output(f"systemctl start {POSTGRESQL}")
    ids = ",".join(f"'{answer['id']}'" for _, answer in answers)
    wait_for(
        "five rows", lambda: query(host, f"SELECT count(*) FROM inference_api.predictions WHERE id IN ({ids})") == "5"
    )
    host.check_output("systemctl kill --signal=STOP triton-peer; systemctl kill --signal=KILL triton-peer")
    wait_for("Triton, for both workers", lambda: all(predict(host)[0] == 200 for _ in range(8)))


def test_a_stop_is_clean_and_loses_nothing(host, journal):
    ids = [predict(host)[1]["id"] for _ in range(5)]
    invocation = host.check_output("systemctl show -p InvocationID --value inference-api")
    host.check_output("systemctl restart inference-api")
    found = query(host, "SELECT id FROM inference_api.predictions").splitlines()
    assert set(ids) <= set(found)
    log = journal(f"_SYSTEMD_INVOCATION_ID={invocation}")
    assert "Finished server process" in log and "Cancel" not in log and "ERROR" not in log
    wait_for(
        "readiness", lambda: host.check_output(f"{CURL} -o /dev/null -w '%{{http_code}}' {URL}/readyz || true") == "200"
    )


def test_the_sandbox_holds(host):
    # the command runs under the unit's own confinement: the same lines make both
    confined = (
        "sed 's|^    /opt/.*|    touch /etc/written /var/written /opt/written|' /usr/local/sbin/inference-api | sh"
    )
    answer = host.run(confined)
    assert answer.rc != 0 and answer.stderr.count("Read-only file system") == 3
    pid = host.check_output("systemctl show -p MainPID --value inference-api")
    status = host.file(f"/proc/{pid}/status").content_string
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    assert host.run("su nobody -s /bin/sh -c 'cat /etc/inference-api/credentials/*'").rc != 0
    overall = host.check_output("systemd-analyze security --no-pager inference-api | tail -1")
    assert float(overall.split(":")[1].split()[0]) <= EXPOSURE, overall


def test_no_secret_in_the_journal_the_unit_or_the_process_list(host, journal):
    seen = journal() + host.check_output("systemctl show inference-api; ps auxeww; cat /etc/inference-api/environment")
    for secret in (KEY, "molecule-database-password", "BEGIN PRIVATE KEY"):
        assert secret not in seen.replace("ROLE inference LOGIN PASSWORD 'molecule-database-password'", "")

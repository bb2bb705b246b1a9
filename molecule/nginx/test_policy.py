"""Which Content-Security-Policy a client gets."""

import pytest
from test_nginx import CURL, URL

STRICT = "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize(
    ("path", "policy"), [("/", STRICT), ("/page", "script-src 'self'"), ("/metrics", STRICT), ("/broken-post", STRICT)]
)
def test_a_page_has_the_policy_of_its_backend_and_all_else_the_strict_one(host, path, policy):
    """Never two: a browser would apply both."""
    answer = host.check_output(f"{CURL} --dump-header - --output /dev/null {URL}{path}").replace("\r", "")
    fields = [line.partition(": ") for line in answer.split("\n")]
    assert [value for name, _, value in fields if name.lower() == "content-security-policy"] == [policy]

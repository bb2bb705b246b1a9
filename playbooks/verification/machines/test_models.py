"""The model server has the declared versions ready, and says so itself."""

INDEX = """
import urllib.request
request = urllib.request.Request("http://127.0.0.1:8000/v2/repository/index", b"{}", method="POST")
print(urllib.request.urlopen(request, timeout=5).read().decode())
"""


def test_every_declared_version_is_ready_and_no_other(stage):
    declared = {(model, version) for model, facts in stage.facts["models"].items() for version in facts["versions"]}
    index = stage.ask(stage.machines("serving")[0], INDEX)
    assert {(row["name"], row["version"]) for row in index if row.get("state") == "READY"} == declared

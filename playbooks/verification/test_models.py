"""The model server has the declared versions ready, and says so itself."""

READY = """
import urllib.error, urllib.request
def ready(model, version):
    try:
        url = f"http://127.0.0.1:8000/v2/models/{model}/versions/{version}/ready"
        return urllib.request.urlopen(url, timeout=5).status == 200
    except urllib.error.HTTPError:
        return False
print(json.dumps({f"{m}/{v}": ready(m, v) for m, versions in given.items() for v in versions}))
"""


def test_every_declared_version_is_ready_and_no_other(stage):
    declared = {model: [*facts["versions"], "999"] for model, facts in stage.facts["models"].items()}
    answers = stage.ask(stage.machines("serving")[0], READY, declared)
    assert answers == {f"{m}/{v}": v != "999" for m, versions in declared.items() for v in versions}

"""`make bench`: how fast the project is, as ratios to what a good engineer would write without it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / folder)
    for folder in (
        *("collections", "tests/roles", "molecule/shared"),
        *("tests/helpers", "tests/e2e", "apps/inference_api/tests", "apps/inference_api/src", "apps/model_sync"),
    )
]  # they import each other

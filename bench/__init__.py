"""`make bench`: how fast the project is, as ratios to what a good engineer would write without it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "collections"), str(ROOT / "tests" / "roles")]  # for ansible_collections, and for `run`

"""`make bench`: how fast the project is, as ratios to what a good engineer would write without it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "collections"))  # for ansible_collections

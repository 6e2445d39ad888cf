"""Where the real data lies: $WIREMATCH_SHARED, else ../shared beside the checkout.

`shared_file("data/frames")` gives the path, or skips the test with a sentence when it is missing.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("WIREMATCH_SHARED") or ROOT.parent / "shared")


def shared_file(name: str) -> Path:
    """The path of a file or folder of the shared data; skips when it is not there."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"there is no {name} at {SHARED}; set WIREMATCH_SHARED to the data's folder")
    return path

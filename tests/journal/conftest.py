"""Where the journal's tests keep files that they damage thousands of times."""

import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def in_memory():
    """A folder on tmpfs."""
    folder = Path(tempfile.mkdtemp(prefix="wm-journal-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)

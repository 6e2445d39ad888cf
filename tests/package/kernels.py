"""Compiled kernels of this checkout as another place's: what spares a test minutes of compiling.

numba files a kernel under a hash of its source's folder and keeps a digest of the source with it.
The sources are the same there, so are the CPU and the compiler; a kernel for which that does not
hold is compiled anew and no more.
"""

import hashlib
import os
import shutil
from pathlib import Path

from appliance.shm import cache

ROOT = cache.PACKAGE.parent


def folder_of(directory: str) -> str:
    """numba's name for the kernels of a folder of sources."""
    return f"{os.path.basename(directory)}_{hashlib.sha1(directory.encode()).hexdigest()}"


def copy(place: str, into: Path) -> int:
    """Kernels for an installation at `place` into the folder that it keeps them in; how many."""
    ours = cache.cache_dir()
    into.mkdir(parents=True, exist_ok=True)
    for directory in sorted(path for path in (ROOT / "appliance").rglob("*") if path.is_dir()):
        kept = ours / folder_of(str(directory))
        if kept.is_dir():
            target = folder_of(f"{place}/{directory.relative_to(ROOT)}")
            shutil.copytree(kept, into / target, dirs_exist_ok=True)
    shutil.copy2(ours / "warm", into / "warm")
    return sum(1 for _ in into.rglob("*.nbi"))

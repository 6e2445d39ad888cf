"""Where compiled kernels are kept: a folder whose name ends in a hash of all they are made from.

numba's own cache looks only at the file a kernel stands in: a callee changed in another file leaves
a stale caller behind. So NUMBA_CACHE_DIR is a folder of its own for every state of the sources of
layout, hot and the C library, for the Python, numpy, numba and llvmlite versions, the CPU and
numba's settings. Call `use_cache` before the first kernel is imported.

The folder is written by whoever compiles first: an unprivileged process can only read root's, so it
imports its kernels before it gives its rights away. Where the folder cannot be written at all (a
service whose file system is read-only), it is taken as `wirematch warm` has filled it; what is
missing there is compiled for this process alone. It holds code, so only its own user's and root's
is taken.
"""

import errno
import hashlib
import importlib.metadata
import os
import platform
import shutil
import sys
import time
from pathlib import Path

ROOT_VARIABLE = "WIREMATCH_CACHE"          # another root, for tests and read-only systems
PACKAGE = Path(__file__).resolve().parent.parent
SOURCES = ("layout/**/*.py", "hot/**/*.py", "native.py", "_native*.so")
NATIVE_SOURCES = ("*.c", "*.h", "gen/*.h")
KEPT_DAYS = 14


def cache_root() -> Path:
    """/var/cache/wirematch for root, else the user's cache folder; WIREMATCH_CACHE overrides."""
    if os.environ.get(ROOT_VARIABLE):
        return Path(os.environ[ROOT_VARIABLE])
    if os.geteuid() == 0:
        return Path("/var/cache/wirematch")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "wirematch"


def cpu_text() -> str:
    """Model and instruction sets of the CPU, as far as the system tells."""
    lines = []
    try:
        for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines():
            if line.split("\t")[0].strip() in ("model name", "flags", "Features", "CPU part"):
                lines.append(line)
    except OSError:
        pass
    return "\n".join([platform.machine(), *lines])


def source_hash(package: Path = PACKAGE) -> str:
    """12 hexadecimal digits over everything a compiled kernel depends on."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        _add(digest, package, package.glob(pattern))
    for pattern in NATIVE_SOURCES:
        _add(digest, package.parent, (package.parent / "native").glob(pattern))
    for name in ("numba", "llvmlite", "numpy"):
        digest.update(f"{name} {importlib.metadata.version(name)}\n".encode())
    settings = {key: value for key, value in os.environ.items()
                if key.startswith("NUMBA_") and key != "NUMBA_CACHE_DIR"}
    digest.update(f"{sys.version} {cpu_text()} {sorted(settings.items())}".encode())
    return digest.hexdigest()[:12]


def _add(digest, base, paths):
    for path in sorted(paths):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(base)} {len(content)}\n".encode() + content)


def cache_dir(package: Path = PACKAGE) -> Path:
    """The folder for kernels compiled from the sources as they are now, where they lie: numba files
    a kernel under the path of its source, so another checkout's kernels are of no use."""
    place = hashlib.sha256(str(package.resolve()).encode()).hexdigest()[:6]
    return cache_root() / f"kernels-{place}-{source_hash(package)}"


def use_cache() -> Path:
    """Makes numba use `cache_dir()` in this process and its children; the folder is made.

    RuntimeError when kernels were imported before: they would have been cached elsewhere. OSError
    when there is no folder and none can be made, or others may write into it.
    """
    folder = cache_dir()
    if folder.exists() and not os.access(folder, os.W_OK):
        _only_read(folder)
    if os.environ.get("NUMBA_CACHE_DIR") == str(folder):
        return folder
    early = [name for name in ("appliance.hot.endian", "appliance.hot.port", "appliance.hot.xsk")
             if name in sys.modules]
    if early:
        raise RuntimeError(f"use_cache must be called before {early[0]} is imported")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"{folder}: {error.strerror}: the kernels of this release and "
                      "CPU are not there and may not be compiled here; run as root: wirematch warm"
                      ) from error
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return folder


def _only_read(folder):
    """Lets numba read a folder that it may not write, and keep what it compiles to itself."""
    found = folder.stat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise PermissionError(errno.EACCES, f"{folder} holds code and belongs to user "
                              f"{found.st_uid}, or others may write into it (mode "
                              f"{found.st_mode & 0o7777:o}); only root's or our own is loaded")
    from numba.core import caching
    caching._CacheLocator.ensure_cache_path = lambda self: None
    caching.Cache.save_overload = lambda self, signature, data: None


def prune(keep: Path) -> int:
    """Removes folders of other sources that nobody has used for two weeks; how many."""
    oldest, removed = time.time() - KEPT_DAYS * 86400, 0
    for folder in keep.parent.glob("kernels-*"):
        if folder != keep and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def count_kernels() -> tuple[int, int]:
    """(compiled now, loaded from the cache) over every kernel imported into this process."""
    from numba.core.registry import CPUDispatcher
    kernels = {id(value): value for name, module in list(sys.modules.items())
               if name.startswith("appliance.") for value in vars(module).values()
               if isinstance(value, CPUDispatcher)}
    compiled = sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels.values())
    cached = sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels.values())
    return compiled, cached


if __name__ == "__main__":
    print(cache_dir())

"""Compiling every kernel ahead of time, so that the first start is as quick as the later ones."""

import importlib
import pkgutil
import time

from ..shm import cache

STAMP = "warm"


def is_warm() -> bool:
    """Whether `warm` has finished for the sources as they are now."""
    return (cache.cache_dir() / STAMP).exists()


def warm() -> dict:
    """Imports every module that has kernels, which compiles or loads them.

    {"folder", "seconds", "compiled", "cached", "modules": [(name, seconds)]}; compiled and cached
    count kernels.
    """
    folder = cache.use_cache()
    started, modules = time.perf_counter(), []
    from appliance import hot
    from appliance.stages import forkserver
    names = [found.name for found in pkgutil.walk_packages(hot.__path__, "appliance.hot.")]
    for name in (*names, "appliance.shm.ring"):
        before = time.perf_counter()
        importlib.import_module(name)
        modules.append((name, time.perf_counter() - before))
    before = time.perf_counter()
    forkserver.warm()                # and what is compiled where it is first needed
    modules.append((forkserver.__name__, time.perf_counter() - before))
    compiled, cached = cache.count_kernels()
    (folder / STAMP).touch()
    cache.prune(folder)
    return {"folder": str(folder), "seconds": time.perf_counter() - started, "compiled": compiled,
            "cached": cached, "modules": modules}

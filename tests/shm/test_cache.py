"""The kernel cache's folder follows everything a kernel is made from."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from appliance.shm import cache


@pytest.fixture
def copied(tmp_path):
    """A copy of the sources that compiled kernels depend on."""
    package = tmp_path / "appliance"
    for pattern in cache.SOURCES:
        for path in cache.PACKAGE.glob(pattern):
            if path.is_file() and "__pycache__" not in path.parts:
                target = package / path.relative_to(cache.PACKAGE)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    shutil.copytree(cache.PACKAGE.parent / "native", tmp_path / "native",
                    ignore=shutil.ignore_patterns("__pycache__"))
    return package


def test_same_sources_give_the_same_folder(copied):
    assert cache.source_hash(copied) == cache.source_hash()


@pytest.mark.parametrize("name", [
    "hot/fence.py", "layout/record.py", "native.py", "../native/crc.c", "../native/api.h"])
def test_changed_source_gives_another_folder(copied, name):
    before = cache.cache_dir(copied)
    with open(copied / name, "a") as file:
        file.write("\n")
    assert cache.cache_dir(copied) != before


def test_changed_library_gives_another_folder(copied):
    before = cache.cache_dir(copied)
    library = next(copied.glob("_native*.so"))
    library.write_bytes(library.read_bytes() + b"\0")
    assert cache.cache_dir(copied) != before


def test_numba_setting_gives_another_folder(monkeypatch):
    before = cache.cache_dir()
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    assert cache.cache_dir() != before


def test_root_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.delenv(cache.ROOT_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cache.cache_root() == tmp_path / "wirematch"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cache.cache_root() == Path("/var/cache/wirematch")


def test_use_after_kernels_were_imported_is_refused():
    code = ("import appliance.hot.endian\nfrom appliance.shm import cache\n"
            "try: cache.use_cache()\nexcept RuntimeError as error: print(error)\n")
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                         env=environment, check=True)
    assert "must be called before appliance.hot.endian" in out.stdout


def test_prune_removes_only_old_folders(tmp_path):
    for name, age_days in (("kernels-a", 0), ("kernels-b", 30), ("kernels-c", 30)):
        (tmp_path / name).mkdir()
        then = os.stat(tmp_path).st_mtime - age_days * 86400
        os.utime(tmp_path / name, (then, then))
    assert cache.prune(tmp_path / "kernels-c") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kernels-a", "kernels-c"]


CALLER = """
    from numba import njit
    from .callee import answer

    @njit("int64()", cache=True)
    def ask():
        return answer()
"""
CALLEE = """
    from numba import njit

    @njit("int64()", cache=True)
    def answer():
        return {}
"""


def test_caller_of_a_changed_callee_answers_anew(tmp_path):
    """numba alone would load the stale caller: its own file has not changed."""
    package = tmp_path / "appliance"
    for folder in ("hot", "layout"):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "hot" / "caller.py").write_text(textwrap.dedent(CALLER))
    run = ("import sys, os; from pathlib import Path; from appliance.shm import cache as c\n"
           "package = Path(sys.argv[1]); folder = c.cache_dir(package)\n"
           "os.makedirs(folder, exist_ok=True)\n"
           "os.environ['NUMBA_CACHE_DIR'] = sys.argv[2] or str(folder)\n"
           "old = [name for name in sys.modules if name.startswith('appliance')]\n"
           "for name in old: del sys.modules[name]\n"
           "sys.path.insert(0, str(package.parent))\n"
           "from appliance.hot.caller import ask; print(ask())\n")
    environment = dict(os.environ, WIREMATCH_CACHE=str(tmp_path / "cache"))

    def ask(number, fixed=""):
        (package / "hot" / "callee.py").write_text(textwrap.dedent(CALLEE).format(number))
        return int(subprocess.run([sys.executable, "-c", run, str(package), fixed], text=True,
                                  env=environment, check=True, capture_output=True).stdout)

    assert ask(1) == 1
    assert ask(2) == 2
    fixed = str(tmp_path / "fixed")
    assert ask(1, fixed) == 1
    assert ask(2, fixed) == 1, "numba sees callees now: the hash could go"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder away needs root")
@pytest.mark.parametrize(("mode", "owner", "good"), [
    (0o755, 0, True), (0o777, 61_979, False), (0o755, 61_980, False)])
def test_a_folder_that_may_only_be_read(monkeypatch, tmp_path, mode, owner, good):
    """Read where it is root's; refused where others could have put code into it."""
    monkeypatch.setenv(cache.ROOT_VARIABLE, str(tmp_path))
    folder = cache.cache_dir()
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, owner, owner)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    if not good:
        with pytest.raises(PermissionError, match="holds code"):
            cache.use_cache()
        return
    from numba.core import caching
    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", None)
    monkeypatch.setattr(caching.Cache, "save_overload", None)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    assert cache.use_cache() == folder
    assert caching.Cache.save_overload(None, None, None) is None


def test_no_folder_and_none_to_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache.ROOT_VARIABLE, str(tmp_path / "file"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr("sys.modules", {name: module for name, module in sys.modules.items()
                                        if not name.startswith("appliance.hot")})
    with pytest.raises(OSError, match="wirematch warm"):
        cache.use_cache()

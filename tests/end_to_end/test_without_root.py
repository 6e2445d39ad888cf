"""The demo as an ordinary user: it falls back to sockets on loopback, says so, and ends well."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from appliance.shm import cache
from tests.end_to_end.demo_kit import Demo
from tests.shared_data import ROOT

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
# The checkout at its own path for whoever may not pass a folder above it: in a mount namespace of
# its own, that folder is covered and the checkout put back.
COVER = """
set -e
mount --make-rprivate /
mkdir "$3/checkout" && mount --bind "$1" "$3/checkout"
mount -t tmpfs -o mode=755 none "$2"
mkdir -p "$1" && mount --bind "$3/checkout" "$1"
cd "$1" && shift 3 && exec "$@"
"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="becoming another user needs root and setpriv")]


def first_closed_folder():
    """The highest folder above the checkout that nobody may pass; None when all are open."""
    for folder in [*reversed(ROOT.parents), ROOT]:
        if subprocess.run([*AS_NOBODY, "test", "-x", folder], check=False).returncode:
            return folder
    return None


@pytest.fixture
def home(warm):
    """A home folder of nobody's with the kernels in its cache."""
    folder = Path(tempfile.mkdtemp(prefix="wm-t-"))
    kernels = cache.cache_dir()
    shutil.copytree(kernels, folder / "cache" / kernels.name)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def test_an_ordinary_user_gets_sockets_on_loopback(home, order_file):
    for file in (order_file, order_file.with_suffix(".toml")):
        shutil.copy(file, home)
        os.chmod(home / file.name, 0o644)
    closed, before = first_closed_folder(), AS_NOBODY
    if closed is not None:
        before = ("unshare", "--mount", "sh", "-c", COVER, "sh", str(ROOT), str(closed),
                  str(home), *AS_NOBODY)
    demo = Demo(home, "--orders", str(home / order_file.name), "--json", before=before,
                environment={"HOME": str(home), "WIREMATCH_CACHE": str(home / "cache"),
                             "PYTHONDONTWRITEBYTECODE": "1"})
    try:
        outcome = demo.finish()
    finally:
        demo.end()
    assert outcome.code == 0, f"{shlex.join(before)} {sys.executable}: {outcome.words}"
    assert "Falling back to plain sockets on loopback: network namespaces need root" \
        in outcome.words
    result = outcome.result
    assert (result["mode"], result["scene"]) == ("socket", "loopback")
    assert (result["lost"], result["crossed"], result["oracle_equal"]) == (0, 0, True)
    assert result["orders"] == 22_000 and result["trades"] > 100
    assert not list(home.glob("wirematch-demo-*"))

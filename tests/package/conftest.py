"""The package and the machine, made once for all tests here."""

import subprocess
import sys

import pytest

from tests.package import machine
from tests.shared_data import ROOT


@pytest.fixture(scope="session")
def built():
    """{"wheel": path, "deb": path, "root": the package's files}, as `make package` makes them."""
    out = ROOT / "build"
    subprocess.run([sys.executable, "-m", "tools.package", "--if-stale"], cwd=ROOT, check=True,
                   capture_output=True)
    (wheel,), (deb,) = out.glob("wirematch-*.whl"), out.glob("wirematch_*.deb")
    return {"wheel": wheel, "deb": deb, "root": out / "root"}


@pytest.fixture(scope="session")
def tree(built):
    """A Debian tree with the package installed."""
    if reason := machine.why_not():
        pytest.skip(reason)
    subprocess.run([sys.executable, "-m", "appliance.cli", "warm", "--if-needed"], cwd=ROOT,
                   check=True, capture_output=True)
    return machine.installed(built["deb"])

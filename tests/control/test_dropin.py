"""`wirematch drop-in`: what the unit does not give by itself, and systemd understands it."""

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from appliance.config import load as loading
from appliance.control import dropin

EXAMPLE = Path(loading.__file__).parent / "examples" / "appliance.toml"


def config(**more):
    """The example, with other values in some tables."""
    found = loading.load(EXAMPLE)
    tables = {name: msgspec.structs.replace(getattr(found, name), **keys)
              for name, keys in more.items() if isinstance(keys, dict)}
    return msgspec.structs.replace(found, **more | tables)


def test_the_affinity_has_isolated_cores_too():
    text = dropin.describe(config(cores={"matcher": [7]}), {0, 1}, "4-6")
    assert "CPUAffinity=0 1 4 5 6 7\n" in text


def test_nothing_more_is_said_where_the_unit_has_it():
    assert dropin.describe(config(), {0}, "").splitlines()[1:] == ["[Service]", "CPUAffinity=0"]


def test_folders_elsewhere_are_opened():
    text = dropin.describe(config(runtime_dir="/mnt/huge/wm", durability={
        "directory": "/srv/journal"}), {0}, "")
    assert "ReadWritePaths=-/mnt/huge\n" in text and "ReadWritePaths=/srv/journal\n" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_understands_every_line(tmp_path):
    text = dropin.describe(config(interface={"mode": "dpdk"}, durability={
        "directory": "/srv/journal"}), {0, 1}, "1")
    unit = tmp_path / "some.service"
    unit.write_text(text.replace("[Service]", "[Service]\nExecStart=/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], text=True,
                          capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

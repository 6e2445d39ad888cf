"""The price scan built alone, for this CPU and for 64-bit Arm under qemu: equal to a plain loop."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.native import SCAN_VARIANTS, lib

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [str(ROOT / "tests/native/scan_twin.c"), str(ROOT / "native/scan.c")]
CROSS, QEMU = "aarch64-linux-gnu-gcc", ("qemu-aarch64", "qemu-aarch64-static")


def build(compiler, target, *options):
    subprocess.run([compiler, *options, "-O2", "-Wall", "-Wextra", "-Werror",
                    f"-I{ROOT / 'native'}", *SOURCES, "-o", str(target)], check=True)
    return target


def compared(output):
    """({variant: scans}, the variant chosen at start) of what the program printed."""
    *rows, chosen = output.splitlines()
    return ({row.split(":")[0]: int(row.split()[-2]) for row in rows},
            chosen.removeprefix("chosen: "))


def test_every_scan_of_this_cpu_equals_a_plain_loop(tmp_path):
    ran = subprocess.run([build("cc", tmp_path / "twin")], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    scans, chosen = compared(ran.stdout)
    assert chosen == SCAN_VARIANTS[lib.wm_scan_best()] and {"scalar", chosen} <= set(scans)
    assert min(scans.values()) > 100_000


def test_arm_scan_equals_a_plain_loop(tmp_path):
    qemu = next(filter(None, map(shutil.which, QEMU)), None)
    if platform.machine() == "aarch64":
        pytest.skip("this is an Arm CPU: the test above has run NEON itself")
    if not shutil.which(CROSS) or not qemu:
        pytest.skip(f"no {CROSS}, or no {QEMU[0]} to run what it makes: "
                    "tools/setup.sh installs both as root")
    program = build(CROSS, tmp_path / "twin", "-static")
    ran = subprocess.run([qemu, program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    scans, chosen = compared(ran.stdout)
    assert chosen == "NEON" and set(scans) == {"scalar", "NEON"}
    assert min(scans.values()) > 100_000


@pytest.mark.parametrize("wrong", ["right", "a lane too many"])
def test_wrong_vector_code_is_found(tmp_path, wrong):
    """The same program with one vector too many counted: it must say so, or it proves nothing."""
    source = Path(SOURCES[1]).read_text()
    place = {"x86_64": "return _mm_cvtsi128_si32(",
             "aarch64": "return (int64_t)vaddvq_u32"}[platform.machine()]
    assert source.count(place) == 1
    if wrong != "right":
        source = source.replace(place, place.replace("return ", "return (cnt == 37) + ", 1))
    (tmp_path / "scan.c").write_text(source)
    program = tmp_path / "twin"
    subprocess.run(["cc", "-O2", f"-I{ROOT / 'native'}", SOURCES[0], tmp_path / "scan.c", "-o",
                    program], check=True)
    ran = subprocess.run([program], capture_output=True, text=True)
    if wrong == "right" or (lib.wm_scan_best() == 0):
        assert ran.returncode == 0
    else:
        assert ran.returncode == 1 and "37 prices" in ran.stdout

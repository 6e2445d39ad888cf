"""The wheel: Python, the C extension for this architecture and the compiled XDP program."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = ("appliance/_native.abi3.so", "bpf/steer.bpf.o")


def make(out: Path) -> Path:
    """The wheel's path. FileNotFoundError when something was not built before.

    setuptools sees no compiler at work, so it takes the wheel for one of any machine: its tag is
    set afterwards. abi3: the extension uses the stable interface of Python 3.11 and later.
    """
    for name in BUILT:
        if not (ROOT / name).exists():
            raise FileNotFoundError(f"{name} is not built; run: make setup")
    raw = out / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for old in (*raw.glob("wirematch-*.whl"), *out.glob("wirematch-*.whl")):
        old.unlink()
    for left in ("lib", f"bdist.linux-{platform.machine()}"):    # of a build of other sources
        shutil.rmtree(ROOT / "build" / left, ignore_errors=True)
    run("pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps", "--no-build-isolation",
        "--wheel-dir", str(raw), str(ROOT))
    (plain,) = raw.glob("wirematch-*.whl")
    run("wheel", "tags", "--remove", "--python-tag", "cp311", "--abi-tag", "abi3",
        "--platform-tag", f"linux_{platform.machine()}", str(plain))
    (tagged,) = raw.glob("wirematch-*.whl")
    return tagged.rename(out / tagged.name)


def run(module: str, *arguments: str) -> None:
    """A module of this Python as a program; CalledProcessError when it fails."""
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, cwd=ROOT,
                   stdout=subprocess.DEVNULL)

"""The files of the Debian package, as they will lie on the machine.

    /usr/lib/wirematch        the wheel and what it needs, for /usr/bin/python3
    /usr/bin/wirematch        the command
    /usr/lib/systemd, sysusers.d, tmpfiles.d
    /etc/wirematch            a first configuration, kept at updates
    /usr/share                manual pages, completion, profiles

Everything has one time stamp, so that the same tree gives the same package. Python's byte code
comes along: nobody writes into /usr later, and without it the command would take seconds.
"""

import os
import re
import shutil
from pathlib import Path

from tools.package import texts
from tools.package.wheel import ROOT, run

LIBRARY, STAMP_S = "usr/lib/wirematch", 1_700_000_000
UNNEEDED = ("**/__pycache__", "bin", "numba/**/tests", "numpy/**/tests", "llvmlite/tests",
            "psutil/tests", "numpy/f2py")
PROGRAM = """\
#!/usr/bin/python3 -P
\"\"\"Wirematch: see wirematch(1).\"\"\"
import os
import sys

sys.path.insert(0, "/usr/lib/wirematch")
os.environ["PYTHONPATH"] = "/usr/lib/wirematch"
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
from appliance.cli import main

sys.exit(main())
"""
UNITS = {".service": "usr/lib/systemd/system", ".target": "usr/lib/systemd/system",
         ".sysusers": "usr/lib/sysusers.d", ".tmpfiles": "usr/lib/tmpfiles.d"}


def make(wheel: Path, root: Path) -> None:
    """Fills the folder `root`, which is emptied first."""
    shutil.rmtree(root, ignore_errors=True)
    library = root / LIBRARY
    run("pip", "install", "-q", "--disable-pip-version-check", "--no-compile",
        "--no-warn-conflicts", "--target", str(library), str(wheel))
    for pattern in UNNEEDED:
        for path in sorted(library.glob(pattern)):
            shutil.rmtree(path, ignore_errors=True)
    run("compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(library),
        "-p", f"/{LIBRARY}", str(library))
    _write(root / "usr/bin/wirematch", PROGRAM, 0o755)
    for path in sorted((ROOT / "systemd").iterdir()):
        if path.suffix in UNITS:
            name = path.name if path.suffix in (".service", ".target") else f"{path.stem}.conf"
            _write(root / UNITS[path.suffix] / name, path.read_text())
    examples = ROOT / "appliance/config/examples"
    for name, mode in (("symbols", 0o644), ("accounts", 0o600)):
        _write(root / f"etc/wirematch/{name}.toml", (examples / f"{name}.toml").read_text(), mode)
    _write(root / "etc/wirematch/wirematch.toml", (examples / "appliance.toml").read_text())
    documents = root / "usr/share/doc/wirematch"
    for path in sorted(examples.glob("*.toml")):
        _write(documents / "profiles" / path.name, path.read_text())
    for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE"):
        _write(documents / ("copyright" if name == "LICENSE" else name), (ROOT / name).read_text())
    _write(documents / "systemd.md", (ROOT / "systemd/README.md").read_text())
    texts.manuals(root / "usr/share/man/man1")
    texts.completions(root / "usr/share")
    for path in (root, *root.rglob("*")):
        os.utime(path, (STAMP_S, STAMP_S), follow_symlinks=False)


def version_of(wheel: Path) -> str:
    """The version in a wheel's name."""
    return re.match(r"wirematch-([^-]+)-", wheel.name)[1]


def _write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)

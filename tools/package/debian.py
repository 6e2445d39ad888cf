"""The Debian package of a tree, made by nfpm (no root needed, no files of debhelper)."""

import json
import platform
import subprocess
import sys
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
DEPENDS = ["python3 (>= 3.11)", "python3 (<< 3.12)", "libbpf1", "libelf1", "zlib1g", "tzdata"]
ABOUT = """\
Turns a Linux server into an exchange's matching appliance
Orders over AF_XDP, price-time matching, acknowledgements and a multicast feed.
"""
AFTER_INSTALL = """\
#!/bin/sh
# Users, folders and the units' names; nothing is started. Kernels are compiled by the first start
# of wirematch-configure.service, or by: wirematch warm
set -e
if [ "$1" = configure ]; then
    if command -v systemd-sysusers >/dev/null; then systemd-sysusers wirematch.conf; fi
    if command -v systemd-tmpfiles >/dev/null; then
        systemd-tmpfiles --create wirematch.conf || true
    fi
    if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
fi
"""
BEFORE_REMOVE = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl stop wirematch.target wirematch.service wirematch-configure.service || true
fi
"""
AFTER_REMOVE = """\
#!/bin/sh
# Journals in /var/lib/wirematch stay, also at a purge: they are the venue's books.
set -e
if [ "$1" = purge ]; then rm -rf /var/cache/wirematch; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
"""
SCRIPTS = {"postinstall": AFTER_INSTALL, "preremove": BEFORE_REMOVE, "postremove": AFTER_REMOVE}


def describe(root: Path, version: str, scripts: dict) -> dict:
    """nfpm's configuration; scripts: their paths. /etc is the administrator's after the first
    installation."""
    contents = [{"src": str(root / "usr"), "dst": "/usr", "type": "tree"}]
    for path in sorted((root / "etc/wirematch").iterdir()):
        contents.append({"src": str(path), "dst": f"/etc/wirematch/{path.name}",
                         "type": "config|noreplace",
                         "file_info": {"mode": path.stat().st_mode & 0o7777}})
    return {
        "name": "wirematch", "arch": ARCHITECTURES[platform.machine()], "platform": "linux",
        "version": version, "section": "net", "priority": "optional",
        "maintainer": "Wirematch <wirematch@localhost>", "license": "Apache-2.0",
        "description": ABOUT,
        "depends": DEPENDS, "recommends": ["iproute2", "ethtool", "systemd"],
        "contents": contents, "scripts": {name: str(path) for name, path in scripts.items()},
        "deb": {"compression": "zstd"}}


def make(root: Path, version: str, out: Path) -> Path:
    """The package's path. CalledProcessError when nfpm refuses."""
    scripts = {}
    for name, text in SCRIPTS.items():
        scripts[name] = out / f"{name}.sh"
        scripts[name].write_text(text)
        scripts[name].chmod(0o755)
    settings = out / "nfpm.json"                         # JSON is YAML
    settings.write_text(json.dumps(describe(root, version, scripts), indent=1))
    target = out / f"wirematch_{version}_{ARCHITECTURES[platform.machine()]}.deb"
    subprocess.run([str(Path(sys.executable).with_name("nfpm")), "package", "--packager", "deb",
                    "--config", str(settings), "--target", str(target)], check=True,
                   stdout=subprocess.DEVNULL)
    return target

"""`python -m tools.package`: see tools/package/__init__.py."""

import argparse
import sys
from pathlib import Path

from tools.package import debian, tree, wheel

ROOT = wheel.ROOT


SOURCES = ("appliance/**/*", "tools/**/*.py", "systemd/*", "bpf/*.o", "*.md", "pyproject.toml")


def is_stale(out: Path) -> bool:
    """Whether a package is missing there, or older than something that it is made from."""
    made = [*out.glob("wirematch-*.whl"), *out.glob("wirematch_*.deb")]
    newest = max(path.stat().st_mtime for pattern in SOURCES for path in ROOT.glob(pattern)
                 if path.is_file() and "__pycache__" not in path.parts)
    return len(made) != 2 or min(path.stat().st_mtime for path in made) < newest


def main(arguments=None) -> int:
    """Exit codes: 0 both are made, 1 not (a line says why)."""
    parser = argparse.ArgumentParser(prog="tools.package", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build")
    parser.add_argument("--if-stale", action="store_true", help="only if something has changed")
    options = parser.parse_args(arguments)
    out = options.out
    if options.if_stale and not is_stale(out):
        return 0
    try:
        made = wheel.make(out)
        root = out / "root"
        tree.make(made, root)
        package = debian.make(root, tree.version_of(made), out)
    except FileNotFoundError as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    for path in (made, package):
        print(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}: "
              f"{path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

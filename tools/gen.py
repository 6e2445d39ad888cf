"""Prints what is generated from appliance/layout: `python -m tools.gen [--check]`.

Without arguments writes native/gen/layout.h, appliance/layout/WIRE.md and tools/wirematch.lua and
names those that changed. With --check writes nothing and exits 1 when one of them is stale.
"""

import sys
from functools import cache
from pathlib import Path

from appliance.layout.emit import c_header, wire_tables
from appliance.layout.emit_lua import lua_dissector

ROOT = Path(__file__).resolve().parent.parent
GENERATED = {
    "native/gen/layout.h": c_header,
    "appliance/layout/WIRE.md": wire_tables,
    "tools/wirematch.lua": lua_dissector,
}


@cache
def fresh() -> dict:
    """{path: text} of every generated file, printed once a process."""
    return {name: printer() for name, printer in GENERATED.items()}


def stale(root: Path = ROOT) -> dict:
    """{path: fresh text} of the generated files under root that are missing or differ."""
    return {name: text for name, text in fresh().items()
            if not (root / name).is_file()
            or (root / name).read_text(encoding="utf-8") != text}


def write(root: Path = ROOT) -> list:
    """Writes the stale files under root; their names."""
    changed = stale(root)
    for name, text in changed.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return list(changed)


def main(arguments) -> int:
    """The exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m tools.gen [--check]", file=sys.stderr)
        return 2
    if not arguments:
        changed = write()
        print("\n".join(f"written: {name}" for name in changed) or "all generated files are fresh")
        return 0
    names = list(stale())
    for name in names:
        print(f"{name} is stale; run: python -m tools.gen", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

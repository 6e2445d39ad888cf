"""`wirematch bench gate`: instructions a message of the compiled book, which no clock disturbs.

    wirematch bench gate [--json]        # count, and compare with the figures kept in the repo
    wirematch bench gate --renew         # count, and keep the new figures

The book's kernel is compiled for one named CPU (`CPU`), whatever CPU this is, linked with a small
C program that feeds it the first messages of w1, w2 and w3, and counted by valgrind's callgrind:
the same sources and compiler give the same figure on every x86-64 machine, busy or not. The trades
are checked before a figure is used. `KEPT` has the figures; more than `MARGIN` above is a failure,
more than that below a hint to renew them. Exit codes: 0 good, 1 worse, 77 cannot be counted here.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CPU = "x86-64-v3"
FEATURES = {"avx2": "avx2", "bmi": "bmi1", "bmi2": "bmi2", "lzcnt": "abm", "movbe": "movbe",
            "popcnt": "popcnt"}                 # LLVM's name: the kernel's name in /proc/cpuinfo
MARGIN = 0.03
KEPT = Path(__file__).with_name("instructions.json")
ROOT = Path(__file__).resolve().parent.parent.parent
CANNOT_RUN = 77


class CannotCount(Exception):
    """This machine lacks what counting needs; the text says what and the remedy."""


class GateError(Exception):
    """The counting program failed or gave wrong trades."""


def compiler() -> str:
    """The C compiler. Raises CannotCount when this machine cannot count."""
    if platform.machine() != "x86_64":
        raise CannotCount(f"the figures kept are for x86-64, this is {platform.machine()}")
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            missing = sorted({*FEATURES.values()} - set(line.split()))
            if missing:
                raise CannotCount(f"this CPU has no {', '.join(missing)}, so it cannot run code "
                                  f"for {CPU}")
            break
    if shutil.which("valgrind") is None:
        raise CannotCount("valgrind is not installed: apt-get install valgrind")
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        raise CannotCount("there is no C compiler: apt-get install gcc")
    return found


def _run(command, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["nothing was said"]
        raise GateError(f"{command[0]} ended with exit code {done.returncode}: {said[-1][:200]}")
    return done.stdout


def count() -> dict:
    """Instructions a message of each stream. Raises CannotCount, GateError, OSError."""
    linker, figures = compiler(), {}
    pinned = {"NUMBA_CPU_NAME": CPU, "NUMBA_DISABLE_JIT": "0",
              "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in FEATURES)}
    with tempfile.TemporaryDirectory(prefix="wirematch-gate-") as made:
        folder = Path(made)
        said = _run([sys.executable, "-m", "tools.bench.gate_build", folder], cwd=ROOT,
                    env={**os.environ, **pinned})
        # What only the interpreter's way into the kernel needs stays unresolved: it is not called.
        _run([linker, "-O1", "-no-pie", "-w", "-Wl,--unresolved-symbols=ignore-all", "-o",
              folder / "main", folder / "main.c", folder / "kernel.o", ROOT / "native" / "scan.c"])
        for line in said.splitlines():
            name, messages, *expected = line.split()
            found = _run(["valgrind", "-q", "--tool=callgrind", "--collect-atstart=no",
                          "--toggle-collect=one_burst", f"--callgrind-out-file={folder / name}.out",
                          folder / "main", folder / f"{name}.bin"], cwd=folder).split()
            if found != expected:
                raise GateError(f"{name}: the kernel's trades and checksum {found} are not the "
                                f"workload's {expected}")
            total = re.search(r"^totals: (\d+)$", (folder / f"{name}.out").read_text(), re.M)
            figures[name] = round(int(total[1]) / int(messages), 2)
    return figures


def versions() -> dict:
    """What a figure depends on beside the project's sources."""
    return {"cpu": CPU} | {name: importlib.metadata.version(name)
                           for name in ("numba", "llvmlite")}


def worse(figures, kept) -> list:
    """A sentence for each stream that takes more than the margin above its kept figure."""
    changed = [f"{name} {kept[name]} -> {text}" for name, text in versions().items()
               if kept[name] != text]
    because = f" (also changed: {', '.join(changed)})" if changed else ""
    return [f"{name}: {figure} instructions a message, {figure / known - 1:+.1%} on the "
            f"{known} kept{because}; make it cheaper, or say why in the commit and keep the new "
            "figure: wirematch bench gate --renew"
            for name, figure in figures.items()
            if figure > (known := kept["instructions_a_message"][name]) * (1 + MARGIN)]


def main(arguments=None) -> int:
    """The command line; exit code 0, 1 or 77."""
    parser = argparse.ArgumentParser(prog="wirematch bench gate",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--renew", action="store_true", help=f"write {KEPT.name}")
    parser.add_argument("--json", action="store_true", help="print only JSON")
    options = parser.parse_args(arguments)
    try:
        figures = count()
    except CannotCount as error:
        print(f"wirematch bench gate: {error}", file=sys.stderr)
        return CANNOT_RUN
    except (GateError, OSError) as error:
        print(f"wirematch bench gate: {error}", file=sys.stderr)
        return 1
    if options.renew:
        KEPT.write_text(json.dumps(versions() | {"instructions_a_message": figures}, indent=1)
                        + "\n")
    kept = json.loads(KEPT.read_text())
    if options.json:
        print(json.dumps({"instructions_a_message": figures,
                          "kept": kept["instructions_a_message"]}))
    else:
        for name, figure in figures.items():
            known = kept["instructions_a_message"][name]
            hint = ("; lower by more than the margin: keep it with --renew"
                    if figure < known * (1 - MARGIN) else "")
            print(f"{name}: {figure} instructions a message, {known} kept{hint}")
    complaints = worse(figures, kept)
    print(*complaints, sep="\n", end="\n" if complaints else "", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())

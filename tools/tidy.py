"""The house rules as a check: `python -m tools.tidy` prints every breach and exits 1 on any.

Rules: imports of rooms point left; the contract of hot/; generated files fresh; every file says
first what it is for; 100 columns; files of at most 400 and functions of at most 70 lines, with
known exceptions that may only shrink; banned phrases; no module that nobody imports.
`findings(root)` gives the breaches of a tree; the rules of hot/ are in `tidy_hot`.
"""

import ast
import re
import sys
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from tools import gen, tidy_hot

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("appliance", "bpf", "native", "tools", "tests", "systemd")
GENERATED = frozenset(gen.GENERATED)
COLUMNS, FILE_LINES, FUNCTION_LINES = 100, 400, 70

# Room -> rank; a room imports itself and rooms of a lower rank. `native` is the C room's Python.
RANKS = {"layout": 0, "native": 1, "hot": 2, "shm": 3, "host": 3, "notify": 3, "faultpoint": 3,
         "journal": 4, "config": 5, "topology": 6, "stages": 7, "control": 8, "observe": 9}
# Rooms beside the ranks, and all they may import of ours.
BESIDE = {"client": {"layout", "native", "host"},
          "cluster": {"layout", "native", "shm", "host", "notify", "config", "topology"},
          "commands": {*RANKS, "client", "cluster"},
          "cli": {*RANKS, "client", "cluster", "tools", "commands"},
          "__main__": {"cli"}}

# Known exceptions: what is longer than the rule, and how long. A number may only go down.
LONG_FILES = {}
LONG_FUNCTIONS = {}

BANNED = (
    (r"\bkeep (?:\w+ )?in sync\b", "declare it once", ""),
    (r"\b(?:TODO|FIXME|XXX)\b(?! \(?#\d)", "name the issue: TODO #12", ""),
    (r"\btime\.time\(", "take the time from the clock you are given", "appliance/stages"),
    (r"\brandom\.(?:random|randint|choice|shuffle|seed)\(", "use a seeded generator", "appliance"),
    (r"(?<![\w./])/(?:home|work)/\w", "no path of one machine", ""),
)
SELF = ("tools/tidy.py", "tests/tools/test_tidy.py")


class Finding(NamedTuple):
    """One breach, printed as path:line: rule: text."""

    path: str
    line: int
    rule: str
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


class Source:
    """A file of the tree: `path` relative to the root, text, lines, and `tree` of a .py file."""

    def __init__(self, root, file):
        self.path = file.relative_to(root).as_posix()
        self.text = file.read_text(encoding="utf-8")
        self.lines = self.text.splitlines()
        self.python = file.suffix == ".py"
        self.tree = ast.parse(self.text, self.path) if self.python else None
        parts = self.path.removesuffix(".py").split("/")
        self.package = parts[:-1]
        self.module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def test(self):
        """Whether it belongs to tests/."""
        return self.path.startswith("tests/")

    @cached_property
    def imports(self) -> tuple:
        """(line, dotted module) of every import; `from a import b` gives a and a.b."""
        return tuple(self._imports()) if self.python else ()

    def _imports(self):
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name
            elif isinstance(node, ast.ImportFrom):
                base = self.package[:len(self.package) - node.level + 1] if node.level else []
                name = ".".join([*base, *(node.module or "").split(".")]).strip(".")
                yield node.lineno, name
                for alias in node.names:
                    yield node.lineno, f"{name}.{alias.name}"


def sources(root: Path) -> list:
    """The hand-written source files under root."""
    files = []
    for folder in FOLDERS:
        for file in sorted((root / folder).rglob("*")):
            path = file.relative_to(root).as_posix()
            hidden = any(part.startswith((".", "__pycache__")) for part in file.parts)
            if file.suffix in (".py", ".c", ".h", ".lua", ".sh") and not hidden \
                    and path not in GENERATED and file.is_file():
                files.append(Source(root, file))
    return files


def check_rooms(files):
    """Imports that point to a room of the same or a higher rank, or beside the permitted ones."""
    for source in files:
        if not source.python or not source.path.startswith(("appliance/", "tests/oracle/")):
            continue
        room = source.module.split(".")[1] if "." in source.module else None
        for line, name in source.imports:
            top, *rest = name.split(".")
            if source.test:
                if top in ("appliance", "tools", "numba", "numpy"):
                    yield Finding(source.path, line, "rooms", f"the oracle imports {name}")
                continue
            if room is None or top not in ("appliance", "tools", "tests") or \
                    (top == "appliance" and (not rest or rest[0] == "_native")):
                continue
            other = rest[0] if top == "appliance" else top
            if other == room:
                if room == "stages":
                    yield from _stage_to_stage(source, files, line, name)
            elif not _may_import(room, other):
                yield Finding(source.path, line, "rooms", f"{room} may not import {other} ({name})")


def _may_import(room, other):
    if room in BESIDE:
        return other in BESIDE[room]
    return other in RANKS and room in RANKS and RANKS[other] < RANKS[room]


def _stage_to_stage(source, files, line, name):
    """A stage is a file of stages/ with a main(); no other stage may import it."""
    for other in files:
        if other.module == name and other is not source and any(
                isinstance(node, ast.FunctionDef) and node.name == "main"
                for node in other.tree.body):
            yield Finding(source.path, line, "rooms", f"a stage imports the stage {name}")


def check_beginnings(files):
    """Files whose first line does not say what they are for."""
    for source in files:
        if not source.text.strip():
            yield Finding(source.path, 1, "beginning", "the file is empty")
        elif source.python:
            if not (ast.get_docstring(source.tree) or "").strip():
                yield Finding(source.path, 1, "beginning", "no docstring says what it is for")
        else:
            first = [line for line in source.lines if not line.startswith("#!")][0]
            if not first.startswith(("/*", "//", "--", "#")) or first.startswith("#include"):
                yield Finding(source.path, 1, "beginning", "no comment says what it is for")


def check_sizes(files, long_files=None, long_functions=None):
    """Lines, files and functions that are too long, and exceptions that are no longer needed."""
    long_files = LONG_FILES if long_files is None else long_files
    long_functions = LONG_FUNCTIONS if long_functions is None else long_functions
    seen = {"file": {}, "function": {}}
    for source in files:
        for number, line in enumerate(source.lines, 1):
            if len(line) > COLUMNS:
                yield Finding(source.path, number, "columns", f"{len(line)}, at most {COLUMNS}")
        seen["file"][source.path] = (1, len(source.lines))
        for node in ast.walk(source.tree) if source.python else ():
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                where = f"{source.path}:{node.name}"
                size = node.end_lineno - node.lineno + 1
                if size > seen["function"].get(where, (0, 0))[1]:
                    seen["function"][where] = (node.lineno, size)
    for kind, limit, known in (("file", FILE_LINES, long_files),
                               ("function", FUNCTION_LINES, long_functions)):
        for where, (line, size) in seen[kind].items():
            if size > known.get(where, limit):
                yield Finding(where.split(":")[0], line, "size",
                              f"{kind} of {size} lines, at most {known.get(where, limit)}")
        for where, size in known.items():
            now = seen[kind].get(where, (1, 0))[1]
            if now < size:
                fix = f"lower it to {now}" if now > limit else "take it out"
                yield Finding(where.split(":")[0], 1, "ratchet",
                              f"the exception of {size} lines for {where} is too large: {fix}")


def check_phrases(files):
    """Banned phrases, with what to write instead."""
    for source in files:
        if source.path in SELF:
            continue
        for number, line in enumerate(source.lines, 1):
            for pattern, instead, folder in BANNED:
                if source.path.startswith(folder) and re.search(pattern, line):
                    yield Finding(source.path, number, "phrase", f"{line.strip()!r}: {instead}")


def check_unimported(files, root):
    """Modules that no other file imports, names, or runs.

    Tests do not count for product code, except for client/, which participants import.
    """
    named = "\n".join((root / name).read_text(encoding="utf-8")
                      for name in ("Makefile", "pyproject.toml", ".ci/run")
                      if (root / name).is_file())
    imported = {other.path: {name for _, name in other.imports} for other in files}
    for source in files:
        if not source.python or source.path.endswith(("__init__.py", "__main__.py")) \
                or source.path.split("/")[-1].startswith(("test_", "conftest")) \
                or re.search(r"^if __name__ == ", source.text, re.M):
            continue
        if source.module in named or source.path in named:
            continue
        tests_count = source.test or source.path.startswith("appliance/client/")
        if not any(source.module in imported[other.path] or f'"{source.module}' in other.text
                   or source.path in other.text for other in files
                   if other is not source and (tests_count or not other.test)):
            yield Finding(source.path, 1, "unimported", "nothing imports it" if tests_count
                          else "nothing but tests imports it")


def check_generated(root):
    """Generated files that differ from what the declarations print."""
    for name in gen.stale(root):
        yield Finding(name, 1, "generated", "is stale; run: python -m tools.gen")


def findings(root: Path = ROOT) -> list:
    """Every breach of the rules in the tree at root, the generated files included."""
    files = sources(root)
    found = [*check_rooms(files), *check_beginnings(files), *check_sizes(files),
             *check_phrases(files), *check_unimported(files, root), *check_generated(root)]
    for source in files:
        if source.python and source.path.startswith("appliance/hot/"):
            found += (Finding(source.path, line, "hot", text)
                      for line, text in tidy_hot.breaches(source.tree, source.imports))
    return sorted(set(found))


def main() -> int:
    """The exit status: 0 when the tree is tidy."""
    found = findings()
    for finding in found:
        print(finding)
    print(f"tidy: {len(found)} breaches" if found else "tidy: nothing to say", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Wording and placing a complaint about a configuration file.

A complaint names file and line, the key's full path, the value found, what is allowed, and the
nearest known word where there is one.
"""

import difflib
import re
import types
import typing
from dataclasses import dataclass

import msgspec

_WORDS = {bool: "true or false", int: "a whole number", str: 'a text in quotes', float: "a number"}


class ConfigError(Exception):
    """All that is wrong with a configuration; `complaints` has one line each, in file order."""

    def __init__(self, complaints):
        super().__init__("\n".join(complaints))
        self.complaints = list(complaints)


@dataclass(frozen=True)
class Source:
    """A file as read: its path as people know it and its text, for finding lines."""

    path: str
    text: str = ""


def did_you_mean(word: str, known) -> str:
    """'; did you mean X?' when one of `known` is close to `word`, else ''."""
    lower = {str(name).lower(): str(name) for name in known}
    close = difflib.get_close_matches(str(word).lower(), list(lower), 1, 0.6)
    return f'; did you mean "{lower[close[0]]}"?' if close else ""


def allowed(kind) -> str:
    """A type in words: its own description, the words of a Literal, or the name of the type."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        described = [m.description for m in kind.__metadata__ if getattr(m, "description", None)]
        return described[0] if described else allowed(kind.__origin__)
    if origin is typing.Literal:
        return "one of " + ", ".join(f'"{value}"' for value in typing.get_args(kind))
    if origin in (list, tuple):
        return f"a list, each of it {allowed(typing.get_args(kind)[0])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(allowed(part) for part in typing.get_args(kind)
                           if part is not types.NoneType)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "a table"
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def shown(value) -> str:
    """A value as TOML writes it, cut when long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    elif isinstance(value, dict):
        text = "{...}"
    elif isinstance(value, list):
        text = "[" + ", ".join(shown(item) for item in value) + "]"
    else:
        text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def refused(source: Source, path: tuple, value, kind) -> str:
    """The complaint about a value that its type does not take."""
    words = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
    hint = did_you_mean(value, words) if isinstance(value, str) else ""
    return (f"{place(source, path)}: {dotted(path)} = {shown(value)}: "
            f"must be {allowed(kind)}{hint}")


def dotted(path: tuple) -> str:
    """('symbols', 2, 'name') as people write it: symbols[2].name; lists count from 0."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text or "the file"


def place(source: Source, path: tuple) -> str:
    """'file:line' of a key, or of the nearest table around it that has a line of its own."""
    for depth in range(len(path), 0, -1):
        line = _line(source.text, path[:depth])
        if line:
            return f"{source.path}:{line}"
    return source.path


def _line(text, path):
    """Line of a key or table header in TOML text, 0 when not found (quoted keys never are)."""
    table, counts = (), {}
    for number, raw in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*(\[\[?)\s*([\w.\-\s]+?)\s*\]", raw)
        if header:
            names = tuple(name.strip() for name in header[2].split("."))
            if header[1] == "[[":
                counts[names] = counts.get(names, -1) + 1
                table = (*names, counts[names])
            else:
                table = names
            if table == path:
                return number
            continue
        key = re.match(r"\s*([\w.\-]+)\s*=", raw)
        if key and (*table, *key[1].split(".")) == path:
            return number
    return 0

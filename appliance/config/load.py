"""Reading a configuration: `load(path)` gives a Config or a ConfigError with every mistake.

Three files come together: defaults.toml, the main file over it, and the symbols and accounts files
that the main file names. First the shape is judged (keys, types, limits), then what the values
mean together (overlaps, duplicates, ticks).
"""

import hashlib
import os
import tomllib
import typing
from pathlib import Path

import msgspec

from . import sanity
from .mistakes import ConfigError, Source, did_you_mean, dotted, place, refused
from .model import (
    Account, AccountDefaults, Config, DropCopy, DropCopyDefaults, Settings, Symbol, SymbolDefaults,
)
from .placement import shares

DEFAULTS = Path(__file__).with_name("defaults.toml")
LIST_KEYS = ("symbols", "accounts", "drop_copies")
MAY_BE_EMPTY = ("drop_copies",)
REMARK_KEYS = ("flow",)            # a table of an order file's maker; not ours, not judged


def load(path) -> Config:
    """The configuration of a main file. ConfigError lists every mistake found."""
    path = Path(path)
    source, given = _read(path)
    defaults = tomllib.loads(DEFAULTS.read_text())
    wrong: list[str] = []
    merged = _merge(defaults, given)
    _judge(source, (), merged, Settings, wrong)
    files = {}
    for key in ("symbols_file", "accounts_file"):
        if isinstance(given.get(key), str):
            try:
                files[key] = _read(path.parent / given[key])
            except ConfigError as error:
                wrong.extend(f"{place(source, (key,))}: {key}: {line}" for line in error.complaints)
    symbols, symbols_source = _entries(files, "symbols_file", "symbols", Symbol, SymbolDefaults,
                                       merged.get("symbol_defaults"), wrong)
    accounts, accounts_source = _entries(files, "accounts_file", "accounts", Account,
                                         AccountDefaults, merged.get("account_defaults"), wrong)
    copies, _ = _entries(files, "accounts_file", "drop_copies", DropCopy, DropCopyDefaults,
                         merged.get("account_defaults"), wrong)
    where = {"main": source, "symbols": symbols_source, "accounts": accounts_source}
    if not wrong:
        merged["name"] = given.get("name", merged["name"])
        merged["runtime_dir"] = merged["runtime_dir"].replace("{name}", merged["name"])
        durability = merged["durability"]
        durability["directory"] = durability["directory"].replace("{name}", merged["name"])
    sanity.judge(where, merged, symbols, accounts, copies, wrong)
    if wrong:
        raise ConfigError(list(dict.fromkeys(wrong)))
    return _freeze(path, merged, symbols, accounts, copies)


def freeze(config: Config, path) -> None:
    """Writes the whole Config as JSON, for this user only: what processes started later read."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(msgspec.json.encode(config))


def thaw(path) -> Config:
    """The Config that `freeze` wrote, or of a TOML file when a stage is started by hand.

    ConfigError when it is missing or of another version.
    """
    if str(path).endswith(".toml"):
        return load(path)
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Config)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError([f"{path}: {error}; the launcher writes it when it starts"]) from error


def warnings(config: Config) -> list[str]:
    """What is allowed and yet unwise; one line each."""
    found = []
    path = Path(config.path).parent / config.accounts_file
    if path.stat().st_mode & 0o007:
        found.append(f"{path}: everyone may read the passwords in it; chmod 640 it")
    people = [("account", each) for each in config.accounts]
    people += [("drop copy", each) for each in config.drop_copies]
    found += [f"{what} {each.name}: no sources, so it cannot log in"
              for what, each in people if not each.sources]
    plain = [each.name for _, each in people if each.password is not None]
    if plain:
        more = f" and {len(plain) - 3} more" if len(plain) > 3 else ""
        found.append(f"{path}: plain passwords of {', '.join(plain[:3])}{more}; replace them by "
                     f"hashes: wirematch account protect {path}")
    found += [f"partition {p}: owns no symbol, so nothing can be traded there; lower "
              "partitions.count or name it with a symbol"
              for p, symbols in enumerate(shares(config.symbols, config.partitions.count))
              if not symbols]
    return found


def _read(path):
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "not UTF-8 text"
                  if isinstance(error, UnicodeDecodeError) else str(error))
        raise ConfigError([f"{path}: cannot be read: {reason}"]) from error
    try:
        return Source(str(path), text), tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not valid TOML: {error}"]) from error


def _merge(under, over):
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    merged = dict(under)
    for key, value in over.items():
        merged[key] = _merge(under[key], value) if key in under else value
    return merged


def _judge(source, path, values, kind, wrong):
    """Complaints about one table: unknown, missing and refused keys; goes down into sub-tables."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    hints = typing.get_type_hints(kind, include_extras=True)
    for key in values:
        if key not in fields:
            full = (*path, key)
            wrong.append(f"{place(source, full)}: {dotted(full)}: unknown key"
                         f"{did_you_mean(key, fields)}; known here: {', '.join(fields)}")
    for name, field in fields.items():
        full = (*path, name)
        if name not in values:
            if field.required:
                wrong.append(f"{place(source, full)}: {dotted(full)}: missing, it has no default")
            continue
        value, wanted = values[name], hints[name]
        if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
            if isinstance(value, dict):
                _judge(source, full, value, wanted, wrong)
            else:
                wrong.append(refused(source, full, value, wanted))
            continue
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError:
            wrong.append(refused(source, full, value, wanted))


def _entries(files, file_key, list_key, kind, defaults_kind, defaults, wrong):
    """(dicts with defaults filled in, their Source) of [[list_key]]; complaints into `wrong`."""
    if file_key not in files:
        return [], None
    source, content = files[file_key]
    for key in content:
        if key not in LIST_KEYS and key not in REMARK_KEYS:
            wrong.append(f"{place(source, (key,))}: {key}: unknown key"
                         f"{did_you_mean(key, LIST_KEYS)}; known here: "
                         "[[symbols]], [[accounts]], [[drop_copies]]")
    entries = content.get(list_key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        wrong.append(f"{place(source, (list_key,))}: {list_key}: must be tables, "
                     f"each begun by [[{list_key}]]")
        return [], source
    if not entries and list_key not in MAY_BE_EMPTY:
        wrong.append(f"{source.path}: {list_key}: there is none; at least one [[{list_key}]] "
                     "is needed")
    known = set(defaults_kind.__struct_fields__)
    usable = defaults if isinstance(defaults, dict) else {}
    under = {key: value for key, value in usable.items() if key in known}
    full = [under | entry for entry in entries]
    for i, entry in enumerate(full):
        _judge(source, (list_key, i), entry, kind, wrong)
    return full, source


def _freeze(path, merged, symbols, accounts, copies):
    settings = msgspec.convert(merged, Settings)
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    lists = (tuple(msgspec.convert(entry, Symbol) for entry in symbols),
             tuple(msgspec.convert(entry, Account) for entry in accounts),
             tuple(msgspec.convert(entry, DropCopy) for entry in copies))
    text = msgspec.json.encode([msgspec.to_builtins(settings), *map(msgspec.to_builtins, lists)],
                               order="sorted")
    return Config(**values, symbols=lists[0], accounts=lists[1], drop_copies=lists[2],
                  path=str(path.resolve()), digest=hashlib.sha256(text).hexdigest()[:16])

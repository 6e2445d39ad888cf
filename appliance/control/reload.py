"""SIGHUP: the configuration is read and checked anew, and taken over as a whole or not at all.

Live changes are those that only the launcher's own work knows: the limits of [supervision], and of
accounts their passwords and the sources among those that some account has already (the steering
program and the matchers let all of these in; the login desk says who may log in from where).
Everything else is in shared memory, rings, sockets or the journal's first record since the start:
one such change, and nothing is taken over, and each is named with "needs a restart".
"""

import msgspec

from .. import topology as topo
from ..config.load import freeze, load
from ..config.mistakes import ConfigError
from .alarms import ERROR, INFORMATION, log
from .secrets import Checker

LIVE_TABLES = ("supervision",)
LIVE_OF_ACCOUNT = ("password", "password_hash")
SECRET = ("password", "password_hash")
BY_NAME = ("accounts", "drop_copies", "symbols")
_OURS = ("path", "digest")


def compare(old, new) -> tuple[list[str], list[str]]:
    """(changes that can be made now, changes that need a restart), each in words without secrets.
    """
    live, restart = [], []
    before, after = (_flat(msgspec.to_builtins(config)) for config in (old, new))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) == after.get(key):
            continue
        head, _, last = key.rpartition(".")
        words = f"{key}: {_shown(last, before.get(key))} -> {_shown(last, after.get(key))}"
        of_account = head.startswith("accounts[") and key in before and key in after
        of_person = head.startswith(("accounts[", "drop_copies["))
        easy = (key.split(".")[0] in LIVE_TABLES
                or of_person and last in LIVE_OF_ACCOUNT
                and _is_known(head, before) and _is_known(head, after)
                or of_account and last == "sources" and set(after[key]) <= _sources(old))
        (live if easy else restart).append(words)
    return live, restart


def _is_known(head, values):
    return f"{head}.name" in values


def _sources(config):
    return {source for account in config.accounts for source in account.sources}


def _flat(values, prefix=""):
    """{dotted key: value}; accounts, drop copies and symbols by their names, and their order."""
    found = {}
    for key, value in values.items():
        if not prefix and key in _OURS or prefix == "" and key in (
                "account_defaults", "symbol_defaults"):
            continue                                 # they are in the entries already
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        elif not prefix and key in BY_NAME:
            found[f"{key} in order"] = [entry["name"] for entry in value]
            for entry in value:
                found |= _flat(entry, f"{key}[{entry['name']}].")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _shown(name, value):
    if value is None:
        return "none"
    return "(not shown)" if name in SECRET else repr(value)


def reload(appliance) -> bool:
    """Reads, checks, compares, takes over; True when the new configuration is in force. Told in the
    log; a refusal is an alarm too, and stands in the status (`reload`)."""
    path = appliance.config.path
    try:
        fresh = load(path)
    except ConfigError as error:
        return _refuse(appliance, error.complaints)
    live, restart = compare(appliance.config, fresh)
    if restart:
        return _refuse(appliance, [f"needs a restart: {words}" for words in restart])
    if not live:
        appliance.reload = {"done": True, "changes": []}
        log(f"reload: {path} has not changed", INFORMATION)
        return True
    try:
        _take_over(appliance, fresh)
    except OSError as error:
        return _refuse(appliance, [f"{appliance.topology.config_file}: {error.strerror}"])
    for words in live:
        log(f"reload: {words}", INFORMATION)
    appliance.reload = {"done": True, "changes": live}
    return True


def _refuse(appliance, reasons):
    appliance.reload = {"done": False, "changes": list(reasons)}
    for words in reasons:
        log(f"reload: {words}", ERROR)
    appliance.alarms.sound("reload-refused", f"{appliance.config.path}: {len(reasons)} reason"
                           f"{'s' if len(reasons) > 1 else ''}, the first: {reasons[0]}; nothing "
                           "was changed")
    return False


def _take_over(appliance, fresh):
    """All that can fail comes first."""
    freeze(fresh, appliance.topology.config_file)
    desks = appliance.desks
    table = topo.build(fresh, [desk.part.instance for desk in desks],
                       [desk.part.names for desk in desks])
    checker = Checker(fresh.accounts + fresh.drop_copies, cpus=appliance.cores.rest)
    old = appliance.checker
    appliance.config, appliance.topology, appliance.checker = fresh, table, checker
    appliance.port.topology = appliance.port.losses.topology = table
    for desk, part in zip(desks, table.partitions, strict=True):
        desk.config, desk.part, desk.checker = fresh, part, checker
        desk.crashes.limit = fresh.supervision.crash_limit
        if hasattr(desk, "desk"):                    # not of a partition that is down
            desk.desk.take_over(part, checker)
    old.close()

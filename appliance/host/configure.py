"""`configure`: every stage of host set-up, looked at, applied in order, and taken back exactly.

`look` changes nothing. `init` makes what is wrong and can be set, and writes each old value to a
state file before it sets the new one; what was set before is not noted again, so that `fini` comes
back to what was there before the first `init`. `fini` restores in the opposite order. The state
file lies where a boot clears it, as a boot clears the settings.
"""

import json
import os
from pathlib import Path

from . import card, memory, processor
from .machine import WRONG, Change, Item, Machine, MachineError, Wants

STAGES = {
    "hugepages": memory.hugepages, "queues": card.queues, "rings": card.rings,
    "offloads": card.offloads, "steering": card.steering, "irq": card.irq,
    "isolated": processor.isolated, "governor": processor.governor, "cstates": processor.cstates,
    "clock": processor.clock, "memlock": memory.memlock, "bpf": memory.bpf,
    "sysctls": memory.sysctls, "nic": card.features}


def look(machine: Machine, wants: Wants, stages=()) -> list[Item]:
    """Every item of the stages (default: all), in their order."""
    return [item for name, stage in STAGES.items() if not stages or name in stages
            for item in stage(machine, wants)]


class Memory:
    """What `init` has set and how it was before: [[stage, name, change], ...] in a state file."""

    def __init__(self, path):
        self.path = Path(path)

    def read(self) -> list[tuple[str, str, Change]]:
        """Oldest first. MachineError when the file is damaged."""
        try:
            rows = json.loads(self.path.read_text())
            return [(stage, name, Change(**{
                key: tuple(value) if isinstance(value, list) else value
                for key, value in change.items()})) for stage, name, change in rows]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise MachineError(f"{self.path}: not a state file of configure ({error}); the old "
                               "values are not known: remove it, or boot") from error

    def write(self, rows) -> None:
        """Replaces the file in one step; no rows, no file."""
        try:
            if not rows:
                self.path.unlink(missing_ok=True)
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.path.with_name(self.path.name + ".new")
            fresh.write_text(json.dumps([[stage, name, vars(change)]
                                         for stage, name, change in rows], indent=1))
            os.replace(fresh, self.path)
        except OSError as error:
            raise MachineError(f"{self.path}: old values cannot be kept there: {error.strerror}; "
                               "nothing was changed") from error


def init(machine: Machine, wants: Wants, memory_file: Memory, stages=(), tell=print) -> list[str]:
    """Sets what is wrong and can be set, stage by stage; told line by line. What did not work."""
    rows, wrong = memory_file.read(), []
    for name, stage in STAGES.items():
        if stages and name not in stages:
            continue
        for item in stage(machine, wants):
            if item.state == WRONG and item.change is not None:
                _apply(machine, item, rows, memory_file, wrong, tell)
    return wrong


def _apply(machine, item, rows, memory_file, wrong, tell):
    key = (item.stage, item.name)
    known = any((stage, name) == key for stage, name, _ in rows)
    if not known:
        rows.append((*key, item.change))
        memory_file.write(rows)
    try:
        machine.make(item.change)
    except MachineError as error:
        if not known:
            rows.pop()
            memory_file.write(rows)
        wrong.append(f"{item.stage}: {item.name}: {error}")
        return
    tell(f"{item.stage}: {item.name}: {item.found} -> {item.wanted} ({item.command})")


def fini(machine: Machine, memory_file: Memory, stages=(), tell=print) -> list[str]:
    """Restores what `init` set, last first; told line by line. What did not work stays noted."""
    kept, wrong = memory_file.read(), []
    for row in reversed(list(kept)):
        stage, name, change = row
        if stages and stage not in stages:
            continue
        try:
            machine.restore(change)
        except MachineError as error:
            wrong.append(f"{stage}: {name}: {error}")
            continue
        kept.remove(row)
        memory_file.write(kept)
        tell(f"{stage}: {name}: back to {change.old or ' '.join(change.undo)}")
    return wrong

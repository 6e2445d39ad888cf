"""Places where a process kills itself on purpose, once, for `wirematch faults killer --point`.

    WIREMATCH_FAULT=NAME[:NTH]      in the environment of `wirematch run`; read when it starts

Without it `at` does nothing. With it the launcher says so loudly, and the first process that comes
to the point for the NTH time (default 1) is gone by SIGKILL there; no process of the same fork
server after it, so whoever is started in its place passes.
"""

import mmap
import os
import signal

VARIABLE = "WIREMATCH_FAULT"
POINTS = {
    "journal-opening": "journal@p has read the day's files and has changed none",
    "journal-roll": "the next segment is on the disk, under another name",
    "journal-written": "blocks are in the file, not yet on the disk",
    "journal-synced": "blocks are on the disk, the watermark does not say so",
    "snapshot-middle": "shadow@p has written the beginning of a snapshot",
    "snapshot-rename": "a snapshot is whole and has not its name",
    "recovery-start": "recovery@p has a core to follow and serves nobody yet",
    "launcher-salvaged": "the launcher has saved what another one left, and started nothing",
}
_wanted, _nth, _passed = "", 1, 0
_spent = mmap.mmap(-1, 1)              # shared with the children of whoever imported this


def parse(text: str) -> tuple[str, int]:
    """(name, nth) of a variable's text. ValueError says what is wrong with it."""
    name, _, nth = text.partition(":")
    if name not in POINTS:
        raise ValueError(f"{VARIABLE}={text}: there is no point {name}; there are "
                         f"{', '.join(POINTS)}")
    if nth and not (nth.isascii() and nth.isdigit() and int(nth) > 0):
        raise ValueError(f"{VARIABLE}={text}: {nth} is not a number from 1 on")
    return name, int(nth or 1)


def arm(is_launcher=False) -> str:
    """Takes the variable from the environment; what is to be said loudly, "" without it. The
    launcher opens journals too, and dies at its own points only. ValueError."""
    global _wanted, _nth
    text = os.environ.get(VARIABLE, "")
    if not text:
        return ""
    name, _nth = parse(text)
    _wanted = name if name.startswith("launcher-") == is_launcher else ""
    return (f"{VARIABLE}={text}: a process of this appliance will KILL ITSELF at the point "
            f"{name}; never set it where people trade")


def at(name: str) -> None:
    """The point `name`: nothing, unless it is the one that was armed."""
    global _passed
    if name != _wanted:
        return
    _passed += 1
    if _passed < _nth or _spent[0]:
        return
    _spent[0] = 1
    os.write(2, f"{VARIABLE}: process {os.getpid()} kills itself at {name}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)

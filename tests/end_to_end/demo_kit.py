"""Runs `wirematch demo` as a process of its own and looks at it from outside while it runs."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.shared_data import ROOT

PATIENCE_S = 420.0           # a busy machine; a demo of the whole half hour takes about 25 s


@dataclass
class Rights:
    """What /proc says of a process: user, effective capabilities, the no-new-privileges flag."""

    uid: int
    capabilities: int
    no_new_privileges: int


@dataclass
class Outcome:
    """A demo that has ended. `processes`: name -> pid; `rights`: name -> Rights while it ran."""

    code: int
    words: str
    result: dict
    folder: Path
    processes: dict = field(default_factory=dict)
    rights: dict = field(default_factory=dict)

    @property
    def kept(self):
        """(streams by account, feed), lists of messages, of a demo begun by `play`."""
        content = json.loads((self.folder / "kept.json").read_text())
        return ([[bytes.fromhex(m) for m in stream] for stream in content["streams"]],
                [bytes.fromhex(m) for m in content["feed"]])


def rights_of(pid: int) -> Rights:
    """The rights of a running process."""
    rows = dict(line.split(":", 1) for line in
                Path(f"/proc/{pid}/status").read_text().splitlines())
    return Rights(int(rows["Uid"].split()[1]), int(rows["CapEff"], 16), int(rows["NoNewPrivs"]))


def _interruptible():
    """A background job's children ignore SIGINT; a demo that a test interrupts must not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Demo:
    """A demo under way. `played`: through `play`, else the plain command."""

    def __init__(self, folder, *arguments, played=True, before=(), environment=None):
        self.folder = Path(folder)
        program = (["tests.end_to_end.play", str(self.folder / "kept.json")] if played
                   else ["appliance.cli", "demo"])
        self.out, self.err = self.folder / "demo.out", self.folder / "demo.err"
        with open(self.out, "w") as out, open(self.err, "w") as err:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-m", *program, *arguments], cwd=ROOT, stdout=out,
                stderr=err, stdin=subprocess.DEVNULL, preexec_fn=_interruptible,
                env=os.environ | {"TMPDIR": str(self.folder)} | (environment or {}))

    @property
    def runtime(self) -> Path:
        """The runtime folder of its appliance when root runs it."""
        return Path(f"/dev/shm/wirematch-demo-{self.process.pid}")

    def status(self) -> dict:
        """Its appliance's status file, {} while there is none."""
        try:
            return json.loads((self.runtime / "status.json").read_text())
        except (OSError, json.JSONDecodeError):
            return {}

    def words(self) -> str:
        """What it printed so far."""
        return self.err.read_text() + self.out.read_text()

    def until_running(self) -> dict:
        """The status once its appliance is ready, and every process of it."""
        deadline = time.monotonic() + PATIENCE_S
        while (content := self.status()).get("state") != "running" or not all(
                row["ready_s"] for row in content["processes"]):
            assert self.process.poll() is None, self.words()
            assert time.monotonic() < deadline, self.words()
            time.sleep(0.02)
        return content

    def until_trading(self) -> dict:
        """The status once orders have been accepted."""
        deadline = time.monotonic() + PATIENCE_S
        content = self.until_running()
        while not content or not content["partitions"][0]["counters"]["orders"]:
            assert self.process.poll() is None, self.words()
            assert time.monotonic() < deadline, self.words()
            time.sleep(0.05)
            content = self.status()
        return content

    def finish(self) -> Outcome:
        """Waits for its end."""
        code = self.process.wait(PATIENCE_S)
        lines = self.out.read_text().splitlines()
        result = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
        return Outcome(code, self.words(), result, self.folder)

    def watch(self) -> Outcome:
        """Notes processes and their rights while it runs, then waits for its end."""
        rows = {row["name"]: row["pid"] for row in self.until_running()["processes"]}
        rights = {name: rights_of(pid) for name, pid in rows.items()}
        outcome = self.finish()
        outcome.processes, outcome.rights = rows, rights
        return outcome

    def end(self) -> None:
        """Interrupts it when it still runs; removes what one that was killed could not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        Path(f"{self.runtime}.day").unlink(missing_ok=True)

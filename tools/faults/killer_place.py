"""Where the killer works: an appliance with a journal, its processes, and their deaths.

    with Field(level, partitions, seed) as field:
        field.kill("matcher@0")             SIGKILL, if it is that process still
        field.kill_all(everyone=True)       the launcher and every child; `again` starts it anew

It is the appliance that runs everywhere else: in a namespace of its own, over AF_XDP.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from appliance.client.channel import load
from tools.demo import house, scene

PRICE, TICK, PEOPLE = 1_250_000, 100, 3
SHORT = {"pages": 512, "chunks": 512, "feed_bytes": 1 << 24, "feed_messages": 1 << 18,
         "lg_ladder": 12, "far_levels": 4096, "far_cap": 1024}
LONG = SHORT | {"pages": 8192, "chunks": 4096, "feed_bytes": 1 << 27, "feed_messages": 1 << 21}
END_S = 60.0


def symbol_of(partition: int) -> str:
    """The only symbol of a partition."""
    return f"KILL{partition}"


def _settings(partitions):
    return {
        "symbols": [{"name": symbol_of(p), "tick_size": TICK, "lot_size": 1,
                     "reference_price": PRICE, "partition": p} for p in range(partitions)],
        "accounts": [{"name": f"KIL{n}", "password": f"secret{n}", "firm": f"FRM{n}", "smp": "off",
                      "cancel_on_disconnect": False} for n in range(PEOPLE)]}


class Field:
    """`status` is the newest status file, read by `look`; `house` the present appliance.

    RuntimeError when the rung is not `mode`, or namespaces cannot be had.
    """

    def __init__(self, level, partitions, mode="native", sizes=SHORT):
        self.level, self.partitions, self.mode, self.sizes = level, partitions, mode, sizes
        self.status, self.past = {}, []

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            self.scene, why = scene.choose()
            undo.callback(self.scene.close)
            if why:
                raise RuntimeError(why)
            os.chmod(self.scene.folder, 0o711)      # journal@p has a user of its own
            self.journal = self.scene.folder / "journal"
            settings = _settings(self.partitions)
            people = [(row["name"], "", self.scene.source(n))
                      for n, row in enumerate(settings["accounts"])]
            self.people = [(row["name"], row["password"]) for row in settings["accounts"]]
            self.config = house.write_config(self.scene, settings, self.mode, people,
                                             partitions=self.partitions, layout="shared",
                                             sizes=self.sizes)
            with open(self.config, "a") as file:
                file.write(f'[durability]\nlevel = "{self.level}"\nsegment_mb = 2\n'
                           f'directory = "{self.journal}"\n')
            self.configure()
            undo.callback(self.end)
            self.house = house.House(self.scene, self.config)
            self.house.wait_ready()
            self.look()
            rungs = {row["mode"] for row in self.status["partitions"]}
            if rungs != {self.mode}:
                raise RuntimeError(f"the rung is {rungs}, not {self.mode}:\n{self.house.words()}")
            undo.pop_all()
        return self

    def configure(self) -> None:
        """More to be done with the files of `config` before anything starts."""

    def __exit__(self, *_):
        self.end()
        self.scene.close()

    def look(self) -> dict:
        """Reads the status file; the one before while there is none."""
        self.status = self.house.status or self.status
        return self.status

    def row(self, partition) -> dict:
        """A partition's row of the status."""
        return self.status["partitions"][partition]

    def pid(self, name) -> int:
        """The process id of portd, matcher@0 ... by the status file; 0 when it is none of ours."""
        for row in self.status["processes"]:
            if row["name"] == name and _parent_of(row["pid"]) == self.house.process.pid:
                return row["pid"]
        return 0

    def kill(self, name) -> int:
        """SIGKILL; the process id, 0 when it is gone already."""
        pid = self.pid(name)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    def kill_all(self, everyone: bool) -> None:
        """SIGKILL to the launcher. everyone: to each of its processes in the same moment, else they
        end as they end when it dies."""
        pids = [row["pid"] for row in self.status["processes"]
                if _parent_of(row["pid"]) == self.house.process.pid]
        os.kill(self.house.process.pid, signal.SIGKILL)
        for pid in pids if everyone else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.house.process.wait()
        self.past.append(self.house.words())
        self.house.log.close()
        (self.scene.runtime / "status.json").unlink(missing_ok=True)    # the dead one's last word

    def again(self) -> None:
        """Starts the appliance anew; `look` tells when it runs."""
        self.house = house.House(self.scene, self.config)

    def words(self) -> str:
        """Everything that all the appliances have said."""
        return "\n".join([*self.past, self.house.words()])

    def partition(self, number):
        """A partition as the channel file has it now."""
        return load(self.house.channel).partitions[number]

    def folder(self, partition) -> Path:
        """The journal of the partition's only day."""
        (day,) = filter(str.isdigit, os.listdir(self.journal))
        return self.journal / day / f"p{partition}"

    def end(self) -> int:
        """Stops the appliance; its exit code."""
        if self.house.log.closed:
            return self.house.process.returncode
        return self.house.stop(END_S)


def _parent_of(pid) -> int:
    """The parent of a process, 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def wait(condition, what, patience_s, pause_s=0.02):
    """Waits until condition() is true and gives what it gave; TimeoutError says what did not come.
    """
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} within {patience_s:.0f} s")
        time.sleep(pause_s)
    return found

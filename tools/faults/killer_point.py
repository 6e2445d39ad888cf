"""A process that kills itself at a named point, under load, judged as every kill is.

    run("journal-roll:2", "disk", seed=1)      a verdict as the killer's

An appliance trades, everything of it is killed, and it is started again with the point armed and
another segment size, so that the journal rolls when it opens. Once the point has been reached the
launcher brings the process back, or is started again itself; then people trade on, and the journal
is replayed.
"""

import os
import time

from appliance import faultpoint
from tools.faults import killer_judge
from tools.faults.killer_load import Ears, Load, late_joiner
from tools.faults.killer_place import Field, wait

BACK_S, SNAPSHOT_EVERY, BURSTS = 90.0, 200, (1, 4000)
_SAID = f"{faultpoint.VARIABLE}: process "


class PointField(Field):
    """A field with many snapshots and small segments."""

    def configure(self):
        self._change("segment_mb = 2\n", f"segment_mb = 2\nsnapshot_commands = {SNAPSHOT_EVERY}\n")

    def _change(self, old, new):
        with open(self.config) as file:
            text = file.read()
        with open(self.config, "w") as file:
            file.write(text.replace(old, new))

    def again_armed(self, point):
        """Starts it anew with the point armed."""
        self._change("segment_mb = 2\n", "segment_mb = 1\n")
        os.environ[faultpoint.VARIABLE] = point
        try:
            self.again()
        finally:
            del os.environ[faultpoint.VARIABLE]


def run(point, level="process", seed=1, pace=300) -> dict:
    """A verdict; `faults` is empty when nothing was lost. RuntimeError when it cannot run here."""
    faultpoint.parse(point)
    began, faults, late = time.monotonic(), [], None
    with PointField(level, 1) as field:
        load, ears = Load(field, 0, seed, pace), Ears(field)
        try:
            try:
                _die_at(field, load, point)
                _answered(field, load)
            except TimeoutError as error:
                faults.append(str(error))
            load.stop()
            heard = load.settle()
            late = late_joiner(field, 0) if not faults else None
            told = ears.settle()
        finally:
            load.end()
            ears.end()
        if field.end():
            faults.append("the appliance did not end well")
        said = killer_judge.replay(field.folder(0), BURSTS)
        faults += killer_judge.judge(said, heard, told, late)
        faults += killer_judge.strangers([said], heard, told)
        found = killer_judge.tally(said, heard)
        words = field.words()
    return {"point": point, "seed": seed, "level": level, **found, "faults": faults,
            "verdict": "faults" if faults else "nothing lost",
            "seconds": round(time.monotonic() - began, 1), "words": words if faults else ""}


def _die_at(field, load, point):
    wait(lambda: load.is_up, "participants are not in", BACK_S)
    _answered(field, load, 200)
    field.look()
    field.kill_all(everyone=True)
    field.again_armed(point)
    wait(lambda: _SAID in field.house.words(), f"nobody came to {point}", BACK_S)
    if point.startswith("launcher-"):
        field.house.process.wait(BACK_S)
        field.past.append(field.house.words())
        field.house.log.close()
        field.again()
    wait(lambda: field.house.status.get("state") == "running" and all(
        row["state"] == "ready" for row in field.house.status["partitions"]),
         f"the appliance is not back after {point}", BACK_S)
    field.look()


def _answered(field, load, count=50):
    """So many answers more."""
    heard = load.answered
    wait(lambda: load.answered >= heard + count or field.house.process.poll() is not None,
         "no answers came", BACK_S)
    if field.house.process.poll() is not None:
        raise TimeoutError(f"the appliance has ended:\n{field.words()}")

"""`wirematch faults killer`: processes killed at random instants under load, judged by the journal.

    wirematch faults killer [--level process|disk] [--seed S] [--partitions N] [--pace N] [--json]
        [--matcher N] [--journal N] [--recovery N] [--portd N] [--launcher N]
    wirematch faults killer --point NAME[:NTH] | --list-points     (killer_point.py)

A real appliance over AF_XDP, participants and subscribers of both feeds. SIGKILL at random moments,
also to processes that are just coming up, to several at once, and to the launcher, with all of its
processes or alone; then the appliance is started again. At the end the journal is replayed, and
everything that anybody ever heard must be in it (killer_judge). Exit codes: 0 nothing was lost,
1 something was, 77 it cannot run here.
"""

import argparse
import json
import random
import statistics
import sys
import time

from appliance import faultpoint
from tools import netns
from tools.faults import killer_judge, killer_point
from tools.faults.killer_load import Ears, Load, late_joiner
from tools.faults.killer_place import LONG, SHORT, Field, wait

CANNOT_RUN = 77
TARGETS = ("matcher", "journal", "recovery", "portd", "launcher")
COUNTS = dict(zip(TARGETS, (50, 10, 10, 10, 10), strict=True))
BACK_S = 60.0                       # nobody may be away so long
JOURNAL_PAUSE_S, PORTD_PAUSE_S = 2.1, 0.7        # more often is taken for a broken one
AGAIN_PORTION = 0.15                # of the matchers that are killed while they come up, too
MANY = 200                          # matcher kills from which on it takes the sizes of a long run
BAD_WORDS = ("Traceback", "could not save", "could not be saved", "lost-tail", "journal-failed",
             "is not started again", "does not start")


class Killer:
    """One campaign. `spent[target]`: seconds from each kill until it was ready again; `silent`:
    until participants of that partition had answers again."""

    def __init__(self, field, loads, counts, seed):
        self.field, self.loads, self.counts = field, loads, counts
        self.draw = random.Random(seed)
        self.done = dict.fromkeys(TARGETS, 0)
        self.spent, self.silent = {name: [] for name in TARGETS}, {name: [] for name in TARGETS}
        self.is_away = False

    def run(self) -> None:
        """Everything, on all partitions at once. TimeoutError when something does not come back."""
        plans = [[] for _ in self.loads]
        for target in ("matcher", "journal", "recovery"):
            for number in range(self.counts[target]):
                plans[number % len(plans)].append(target)
        for plan in plans:
            self.draw.shuffle(plan)
        lanes = [self._partition(idx, plan, random.Random(self.draw.random()))
                 for idx, plan in enumerate(plans)]
        lanes += [self._portd(random.Random(self.draw.random())),
                  self._launcher(random.Random(self.draw.random()))]
        while lanes:
            self.field.look()
            self._fail_early()
            lanes = [lane for lane in lanes if next(lane, "over") != "over"]
            time.sleep(0.005)

    def _fail_early(self):
        """TimeoutError for what nobody has to wait for: it will not come back."""
        down = [row["partition"] for row in self.field.status["partitions"]
                if row["state"] == "failed"]
        if self.is_away:
            return
        if down or self.field.house.process.poll() is not None:
            raise TimeoutError(f"partitions {down} are down, the appliance is "
                               f"{self.field.status['state']}")

    # -- one lane each: a generator that is asked again and again ---------------------------------

    def _partition(self, idx, plan, draw):
        last_journal = 0.0
        for target in plan:
            yield from _pause(draw.uniform(0.0, 0.3))
            if target == "journal":
                yield from _pause(last_journal + JOURNAL_PAUSE_S - time.monotonic())
            name = f"{target}@{idx}"
            begun = yield from self._kill(name)
            last_journal = begun if target == "journal" else last_journal
            pid, instance = self.victim
            if target == "matcher":
                again = draw.random() < AGAIN_PORTION and draw.uniform(0.0, 0.4)
                yield from self._matcher_back(idx, pid, instance, begun, again)
            else:
                yield from self._until(lambda: self.field.pid(name) not in (0, pid), name, begun)
            self._note(target, begun)
            yield from self._answered(idx, target, begun)

    def _matcher_back(self, idx, pid, instance, begun, again):
        name = f"matcher@{idx}"
        if again:
            yield from _pause(again)
            if not self.is_away and self.field.pid(name) not in (0, pid):
                self.field.kill(name)

        def is_back():
            row = self.field.row(idx)
            return row["instance"] > instance and row["state"] == "ready" \
                and self.field.pid(name) not in (0, pid)

        yield from self._until(is_back, name, begun)

    def _portd(self, draw):
        for _ in range(self.counts["portd"]):
            yield from _pause(draw.uniform(PORTD_PAUSE_S, PORTD_PAUSE_S + 1.0))
            begun = yield from self._kill("portd")
            pid, _ = self.victim
            yield from self._until(lambda pid=pid: self.field.pid("portd") not in (0, pid),
                                   "portd", begun)
            self._note("portd", begun)

    def _launcher(self, draw):
        """Spread over the other kills, at random moments of whatever they are doing."""
        others = sum(self.counts.values()) - self.counts["launcher"]
        for number in range(self.counts["launcher"]):
            due = (number + 0.5) * others / self.counts["launcher"]
            while self._others_done() < int(due):
                yield
            yield from _pause(draw.uniform(0.0, 0.5))
            self.is_away, begun = True, time.monotonic()
            self.field.kill_all(everyone=draw.random() < 0.5)
            self.field.again()

            def runs():
                if self.field.house.process.poll() is not None:
                    raise TimeoutError("the appliance did not start again")
                return self.field.house.status.get("state") == "running"

            yield from self._until(runs, "the appliance", begun, away=True)
            self.field.look()
            self.is_away = False
            self._note("launcher", begun)
            yield from self._answered(draw.randrange(len(self.loads)), "launcher", begun)

    def _others_done(self):
        return sum(self.done.values()) - self.done["launcher"]

    def _kill(self, name):
        """Kills it as soon as it is there; when that was."""
        begun = time.monotonic()
        while True:
            if not self.is_away:
                pid = self.field.kill(name)
                if pid:
                    break
                _in_time(begun, f"there is no {name} to kill")
            else:
                begun = time.monotonic()
            yield
        partition = name.partition("@")[2]
        self.victim = pid, self.field.row(int(partition))["instance"] if partition else 0
        return time.monotonic()

    def _until(self, condition, name, begun, away=False):
        """Until it is back; while the whole appliance is away nobody is waited for."""
        while not condition():
            if self.is_away and not away:
                begun = time.monotonic()
            _in_time(begun, f"{name} did not come back")
            yield

    def _answered(self, idx, target, begun):
        load = self.loads[idx]
        heard, since = load.answered, time.monotonic()
        while load.answered == heard:
            if self.is_away and target != "launcher":
                return
            _in_time(since, f"no answers came on partition {idx} after the {target}")
            yield
        self.silent[target].append(time.monotonic() - begun)

    def _note(self, target, begun):
        self.done[target] += 1
        self.spent[target].append(time.monotonic() - begun)


def _pause(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield


def _in_time(begun, text):
    if time.monotonic() - begun > BACK_S:
        raise TimeoutError(f"{text} within {BACK_S:.0f} s")


def run(level="process", seed=1, partitions=3, pace=150, counts=None, mode="native",
        bursts=killer_judge.BURSTS) -> dict:
    """A campaign; what was found. `faults` is empty when nothing was lost. pace: things that each
    partition's participants do a second. RuntimeError when it cannot run here."""
    counts, began = COUNTS | (counts or {}), time.monotonic()
    sizes = LONG if counts["matcher"] >= MANY or counts["launcher"] >= MANY else SHORT
    with Field(level, partitions, mode, sizes) as field:
        loads = [Load(field, partition, seed, pace) for partition in range(partitions)]
        ears, killer, faults = Ears(field), None, []
        try:
            wait(lambda: all(load.is_up for load in loads), "participants are not in", BACK_S)
            killer = Killer(field, loads, counts, seed)
            try:
                killer.run()
            except TimeoutError as error:
                faults.append(str(error))
            for load in loads:
                load.stop()
            heard, late = [load.settle() for load in loads], []
            if not faults:
                late = [late_joiner(field, partition) for partition in range(partitions)]
            heard.append(ears.settle())
        finally:
            for each in (*loads, ears):
                each.end()
        if field.end():
            faults.append("the appliance did not end well")
        faults += _complaints(field.words())
        found = _judged(field, heard, late, faults, bursts)
        if faults:
            found["words"] = field.words()
    return {"seed": seed, "level": level, "partitions": partitions, "kills": killer.done,
            "ready_s": _times(killer.spent), "answers_s": _times(killer.silent), **found,
            "verdict": "faults" if faults else "nothing lost", "faults": faults,
            "seconds": round(time.monotonic() - began, 1)}


def _judged(field, heard, late, faults, bursts) -> dict:
    """The verdict of every partition into `faults`; figures."""
    *loads, ears = heard
    began, rows, replays = time.monotonic(), [], []
    for idx, load in enumerate(loads):
        said = killer_judge.replay(field.folder(idx), bursts)
        replays.append(said)
        faults += killer_judge.judge(said, load, ears, late[idx] if late else None)
        rows.append(killer_judge.tally(said, load))
    faults += killer_judge.strangers(replays, *heard)
    sums = {name: sum(row[name] for row in rows) for name in rows[0]}
    return sums | {"heard": sum(len(each["heard"]) for each in heard), "bursts": list(bursts),
                   "marks": [said.marks for said in replays],
                   "judged_s": round(time.monotonic() - began, 1)}


def _complaints(words):
    return [f"the appliance said: {line.strip()}" for line in words.splitlines()
            if any(bad in line for bad in BAD_WORDS)][:10]


def _times(spent) -> dict:
    return {name: {"median": round(statistics.median(times), 3), "worst": round(max(times), 3)}
            for name, times in spent.items() if times}


def main(arguments=None) -> int:
    """The command line; exit code 0, 1 or 77."""
    parser = argparse.ArgumentParser(prog="wirematch faults killer",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--level", choices=("process", "disk"), default="process")
    parser.add_argument("--seed", type=int, help="of everything (default: a new one)")
    parser.add_argument("--partitions", type=int, default=3)
    parser.add_argument("--pace", type=int, default=150, metavar="N",
                        help="orders, cancels and replaces a second on each partition")
    for target in TARGETS:
        parser.add_argument(f"--{target}", type=int, metavar="N", default=COUNTS[target],
                            help=f"kills (default {COUNTS[target]})")
    parser.add_argument("--mode", default="native", help="the rung (default native)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--point", metavar="NAME[:NTH]",
                        help="one process kills itself there, and nothing else is killed")
    parser.add_argument("--list-points", action="store_true", help="their names")
    options = parser.parse_args(arguments)
    if options.list_points:
        print("\n".join(f"{name:<20}{text}" for name, text in faultpoint.POINTS.items()))
        return 0
    if options.point:
        try:
            faultpoint.parse(options.point)
        except ValueError as error:
            parser.error(str(error))
    why = netns.why_not()
    if why:
        print(f"wirematch faults killer: {why}", file=sys.stderr)
        return CANNOT_RUN
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    try:
        if options.point:
            found = killer_point.run(options.point, options.level, seed)
        else:
            found = run(options.level, seed, options.partitions, options.pace,
                        {target: getattr(options, target) for target in TARGETS}, options.mode)
    except (RuntimeError, OSError) as error:
        print(f"wirematch faults killer, seed {seed}: {error}", file=sys.stderr)
        return CANNOT_RUN
    words = found.pop("words", "")
    if words:
        print(words, file=sys.stderr)
    print(json.dumps(found) if options.json else report(found))
    return 1 if found["faults"] else 0


def report(found) -> str:
    """A verdict in words."""
    if "point" in found:
        return "\n".join([f"{found['point']}, seed {found['seed']}, level {found['level']}: "
                          f"{found['commands']:,} commands, {found['seconds']} s: "
                          f"{found['verdict']}", *found["faults"]])
    lines = [f"{name:<10}{found['kills'][name]:>5} kills, ready after {times['median']:.2f} s "
             f"(worst {times['worst']:.2f} s)" for name, times in found["ready_s"].items()]
    lines += [f"seed {found['seed']}, level {found['level']}: {found['commands']:,} commands, "
              f"{found['orders_sent']:,} orders, {found['heard']:,} messages heard, "
              f"{found['seconds']} s: {found['verdict']}", *found["faults"]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

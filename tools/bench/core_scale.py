"""Several cores at once: N processes, each pinned to a core and with a book of its own.

A worker is this file as a program. It says `ready`, waits for a line, runs the workload once and
prints what it found as JSON, so that all workers begin each round together.
"""

import json
import os
import subprocess
import sys
import time


class ScaleError(Exception):
    """The processes could not run; the text says why."""


def free_cores():
    """The cores this process may use."""
    return sorted(os.sched_getaffinity(0))


def measure_scale(path, count, rounds, message_cnt, expected) -> dict:
    """The rates of `count` processes at once, of the round with the highest sum, and of one alone.

    {"processes", "cores", "messages_per_second": [...], "sum", "alone", "scaling",
    "scaling_by_cpu_time"}; 1.0 means that each is as fast as one alone. `expected`: (trades,
    checksum) of every run. Raises ScaleError.
    """
    cores = free_cores()
    if not 1 <= count <= len(cores):
        raise ScaleError(f"--scale {count}: this process may use {len(cores)} cores; choose 1 to "
                         f"{len(cores)}")
    alone = _rounds(path, cores[:1], rounds, message_cnt, expected)
    together = _rounds(path, cores[:count], rounds, message_cnt, expected)
    one, best = max(alone, key=_sum), max(together, key=_sum)
    by_cpu_time = (max(_sum(answers, _CPU) for answers in together)
                   / (count * max(_sum(answers, _CPU) for answers in alone)))
    return {"processes": count, "cores": cores[:count],
            "messages_per_second": [answer[_WALL] for answer in best], "sum": _sum(best),
            "alone": _sum(one), "scaling": round(_sum(best) / (count * _sum(one)), 3),
            "scaling_by_cpu_time": round(by_cpu_time, 3)}


_WALL, _CPU = "messages_per_second", "messages_per_cpu_second"


def _sum(answers, what=_WALL):
    return sum(answer[what] for answer in answers)


def _rounds(path, cores, rounds, message_cnt, expected):
    """For each round the answers of the processes on these cores."""
    command = [sys.executable, "-m", "tools.bench.core_scale", str(path), str(message_cnt or 0)]
    workers = [subprocess.Popen([*command, str(core)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True) for core in cores]
    try:
        found = []
        for _ in range(rounds):
            for worker in workers:
                if worker.stdout.readline() != "ready\n":
                    raise ScaleError(f"process {worker.pid} of --scale ended with exit code "
                                     f"{worker.wait()}; its words are above")
            for worker in workers:
                worker.stdin.write("go\n")
                worker.stdin.flush()
            answers = [json.loads(worker.stdout.readline()) for worker in workers]
            for answer in answers:
                if answer["found"] != list(expected):
                    raise ScaleError(f"a process of --scale found {answer['found']}, one alone "
                                     f"{list(expected)}")
            found.append(answers)
        return found
    finally:
        for worker in workers:
            worker.stdin.close()
            worker.wait()
            worker.stdout.close()


def main() -> int:
    """A worker: FILE MESSAGES CORE; a round for each line it reads."""
    path, message_cnt, core = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, {core})
    from appliance.shm.cache import use_cache
    use_cache()
    from tools.bench import core_run
    load = core_run.load(path, message_cnt or None)
    core_run.run(*_book(core_run, load.records[:1], load.commands[:1]))
    while True:
        arguments = _book(core_run, load.records, load.commands)
        print("ready", flush=True)
        if not sys.stdin.readline():
            return 0
        began, cpu_began = time.perf_counter(), time.thread_time()
        trades, checksum = core_run.run(*arguments)
        cpu_s, seconds = time.thread_time() - cpu_began, time.perf_counter() - began
        print(json.dumps({"found": [int(trades), f"{int(checksum):016x}"],
                          _WALL: round(len(load.records) / seconds),
                          _CPU: round(len(load.records) / cpu_s)}), flush=True)


def _book(core_run, records, commands):
    book, events = core_run.make_book(records)
    return book, commands, core_run.BURST, events


if __name__ == "__main__":
    sys.exit(main())

"""`wirematch bench core`: the matching core on the common workload, checked, against others.

    wirematch bench core w1 w2 w3 [--rounds N] [--json]
    wirematch bench core w1 --scale 2 | --against [--picture FILE.png]

Takes workload files; a standard one (w1, w2, w3) that is not there is made first. Prints messages
a second of the very kernel that the matcher runs, by the wall's clock and by CPU time (equal on a
machine that does nothing else), the ratio to a bare ladder run in turn with it, nanoseconds an
operation, trades and their checksum. A figure is printed only when
trades and checksum are those of the bare ladder and, of a standard file, the published ones.
"""

import argparse
import json
import os
import platform
import sys
from pathlib import Path

from appliance.shm.cache import cache_root, use_cache

if not any(name.startswith("appliance.hot") for name in sys.modules):
    use_cache()                                             # before the first kernel is imported

from tools import workload  # noqa: E402
from tools.bench import core_run, core_scale, rivals  # noqa: E402
from tools.workload_maker import STANDARD, MakeError, write  # noqa: E402

FAILURES = (core_run.WrongTrades, core_scale.ScaleError, rivals.RivalError, workload.WorkloadError,
            MakeError, OSError)


def find(name, folder) -> Path:
    """The path of a workload file given by path or by a standard name; made when missing.

    Raises MakeError, OSError (a file that is missing and no standard one).
    """
    path = Path(name)
    if name in STANDARD and not path.exists():
        path = Path(folder) / f"{name}.bin"
    if not path.exists() and path.stem in STANDARD:
        print(f"making {path} ({STANDARD[path.stem].messages} messages)", file=sys.stderr)
        write(path.stem, path)
    return path


def cpu_name() -> str:
    """The CPU's name, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def measure(path, options) -> dict:
    """Everything that the options ask for of one file. Raises what FAILURES lists."""
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    load = core_run.load(path, options.messages)
    os.sched_setaffinity(0, {core})
    try:
        result = core_run.measure(load, options.rounds)
        expected = result["trades"], result["checksum"]
        result["latency"] = core_run.measure_latency(load, expected)
        result |= {"cpu": cpu_name(), "core": core}
    finally:
        os.sched_setaffinity(0, allowed)
    if options.scale:
        result["scale"] = core_scale.measure_scale(path, options.scale, options.rounds,
                                                   options.messages, expected)
    return result


def text(result) -> str:
    """The result of one file, for people."""
    latency = result["latency"]
    lines = [f"{result['file']}: {result['messages']:,} messages, {result['trades']:,} trades, "
             f"checksum {result['checksum']}, as it must be",
             f"  rate         {result['messages_per_second'] / 1e6:.1f} M messages/s; by CPU time "
             f"{result['messages_per_cpu_second'] / 1e6:.1f}, which is "
             f"{result['ratio_to_yardstick']:.2f} of the bare ladder's "
             f"{result['yardstick_messages_per_cpu_second'] / 1e6:.1f} in the same run",
             f"  {'ns':<12} {'p50':>8} {'p99':>8} {'p99.9':>8}   {'operations':>10}"]
    for kind, row in latency["ns"].items():
        lines.append(f"  {kind:<12} {row['p50']:>8} {row['p99']:>8} {row['p99.9']:>8}   "
                     f"{row['count']:>10,}")
    row = latency["with_call_ns"]["all"]
    lines += [f"  {'with its call':<12}{row['p50']:>8} {row['p99']:>8} {row['p99.9']:>8}",
              f"  taken off: the timer's {latency['timer_ns']} ns and an empty call's "
              f"{latency['empty_call_ns']} ns; the counter steps by {latency['step_ns']} ns",
              f"  one thread on core {result['core']}, no port; {result['cpu']}"]
    if "scale" in result:
        scale = result["scale"]
        each = " + ".join(f"{rate / 1e6:.1f}" for rate in scale["messages_per_second"])
        lines.append(f"  {scale['processes']} processes on cores "
                     f"{','.join(map(str, scale['cores']))}: {each} = {scale['sum'] / 1e6:.1f} M "
                     f"messages/s, {scale['scaling']:.2f} of {scale['processes']} times the "
                     f"{scale['alone'] / 1e6:.1f} of one alone; by CPU time "
                     f"{scale['scaling_by_cpu_time']:.2f}")
    return "\n".join(lines)


def parse(arguments):
    """The options of the command line; ends the process with exit code 2 when they are wrong."""
    parser = argparse.ArgumentParser(prog="wirematch bench core",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", metavar="FILE",
                        help="workload file, or w1, w2, w3: made when missing (default w1 w2 w3)")
    parser.add_argument("--workload", metavar="FILE", action="append", nargs="+", default=[],
                        help="the same as FILE")
    parser.add_argument("--folder", default=cache_root() / "workload",
                        help="where w1, w2, w3 lie and are made (default %(default)s)")
    parser.add_argument("--messages", type=int, help="only the first so many of each file")
    parser.add_argument("--rounds", type=int, default=3, help="best of how many (default 3)")
    parser.add_argument("--scale", type=int, metavar="N", help="N pinned processes at once, too")
    parser.add_argument("--against", action="store_true",
                        help="engines from the package index too, on a prefix of w1")
    parser.add_argument("--against-messages", type=int, default=20_000, metavar="N",
                        help="how long that prefix is (default 20000)")
    parser.add_argument("--picture", metavar="FILE.png", help="draw the table of --against")
    parser.add_argument("--json", action="store_true", help="print only JSON, one object a file")
    options = parser.parse_args(arguments)
    for name, value in (("--rounds", options.rounds), ("--messages", options.messages),
                        ("--scale", options.scale),
                        ("--against-messages", options.against_messages)):
        if value is not None and value < 1:
            parser.error(f"{name} {value}: at least one is needed")
    if options.picture and not options.against:
        parser.error("--picture draws the comparison: give --against too")
    options.files += [file for group in options.workload for file in group]
    options.files = options.files or ["w1", "w2", "w3"]
    return options


def main(arguments=None) -> int:
    """The command line; exit code 0 or 1."""
    options = parse(arguments)
    try:
        if options.picture:
            rivals.need_pictures()
        for name in options.files:
            result = measure(find(name, options.folder), options)
            print(json.dumps(result) if options.json else text(result), flush=True)
        if options.against:
            table = rivals.compare(find("w1", options.folder), options.against_messages)
            print(json.dumps(table) if options.json else rivals.text(table), flush=True)
            if options.picture:
                rivals.draw(table, options.picture)
    except FAILURES as error:
        print(f"wirematch bench core: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

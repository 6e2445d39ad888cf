"""`--against`: the core beside the engines of the package index, on one prefix of w1 in one run.

Each package is installed in a folder of its own below `cache_root()/rivals`, with a virtual
environment that is not the project's, and played by `rival_engines` in a process of its own. An
engine gets the messages that it can do, and its trades must be those of the core on the same
messages; one whose trades differ, or that tells none, is shown with that word. What is missing or
broken is named with the reason.

The packages are driven as they are used, call by call from Python; the core is driven by its
compiled loop, as the matcher drives it. Rates are by CPU time, so that a machine that is busy with
other things does not decide.
"""

import json
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np

from appliance.shm.cache import cache_root
from tools import workload
from tools.bench import core_run, rival_engines

# Package -> what pip is asked for: the versions that the adapters were written for.
PACKAGES = {
    "liquibook": "liquibook==2.0.1",
    "orderly-chaos": "orderly-chaos==0.2.0",
    "obook": "obook==0.1.0",
    "limit-order-book": "limit-order-book==2.0.0",
    "litebook": "litebook==0.0.1",
    "cython-orderbook": "cython-orderbook==0.1.2",
    "akhil4n-orderbook": "akhil4n-orderbook==0.1.1",
    "lightmatchingengine": "lightmatchingengine==2019.1.4",
    "pyorderbook": "pyorderbook==0.4.9",
    "order-matching": "order-matching[polars]==0.12.0",
}
# Looked at and left out, and why.
LEFT_OUT = {
    "orderbook 0.1.2": "written for Python 2",
    "pylob 0.2.8": "does not build here",
    "ghul-orderbook 0.0.4": "does not build here",
    "matching-engine 0.1.1": "asks for Python 3.12",
    "manticore-orderbook 1.0.1": "no adapter written",
}
INSTALL_S, PLAY_S = 300, 300
CORE_ROUNDS = 10


class RivalError(Exception):
    """The comparison as a whole is not possible; the text says what to do."""


class _Broken(Exception):
    """One engine is not to be had or does not run; the text says why."""


def _run(command, limit_s, **options):
    """Its standard output. Raises _Broken with the last line it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s,
                              stdin=subprocess.DEVNULL, **options)
    except subprocess.TimeoutExpired:
        raise _Broken(f"took more than {limit_s} s") from None
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines()
                if line.strip() and not line.startswith(("WARNING", "[notice]"))]
        errors = [line for line in said if "rror" in line] or said or ["nothing was said"]
        raise _Broken(f"exit code {done.returncode}: {errors[-1].strip()[:120]}")
    return done.stdout


def _python(folder):
    """The interpreter of the rivals' virtual environment, made when missing."""
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "venv", with_pip=True)
    return python


def _installed(python, folder, name):
    """The folder that a package lies in, installed when missing. Raises _Broken."""
    requirement = PACKAGES[name]
    place = folder / requirement.replace("[", "-").replace("]", "")
    if not place.exists():
        print(f"installing {requirement}", file=sys.stderr)
        unfinished = Path(f"{place}.{os.getpid()}")
        _run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target",
              unfinished, requirement], INSTALL_S)
        unfinished.rename(place)
    return place


def _truth(records, engine, message_cnt):
    """(messages, trades, checksum, live orders) of the core on what an engine is given."""
    records = records[:rival_engines.most(engine, message_cnt)]
    without = rival_engines.leaves_out(engine)
    for op, name in core_run.OPS.items():
        if name in without:
            records = records[records["op"] != op]
    book, events = core_run.make_book(records)
    trades, checksum = core_run.run(book, workload.to_commands(records), core_run.BURST, events)
    if book.engine[0]["fault"]:
        raise core_run.WrongTrades(f"the book refused a command of what {engine} is given "
                                   f"(engine.fault = {int(book.engine[0]['fault']):#x})")
    return len(records), int(trades), f"{int(checksum):016x}", int(book.engine[0]["live_orders"])


def _verdict(engine, answer, truth):
    """What the comparison with the core says of an engine, in a few words."""
    messages, trades, checksum, live = truth
    if answer["messages"] != messages:
        return f"played {answer['messages']} messages instead of {messages}"
    if not rival_engines.tells_trades(engine):
        told = "tells no trades; resting orders "
        return told + ("equal" if answer["resting"] == live else f"{answer['resting']}, not {live}")
    if (answer["trades"], answer["checksum"]) == (trades, checksum):
        return "trades equal"
    return ("as many trades, but others" if answer["trades"] == trades
            else f"{answer['trades']} trades instead of {trades}")


def _play(name, python, folder, path, message_cnt, truth):
    place = _installed(python, folder, name)
    count = rival_engines.most(name, message_cnt)
    said = _run([python, "-P", rival_engines.__file__, name, path, str(count)], PLAY_S,
                env={**os.environ, "PYTHONPATH": str(place), "PYTHONNOUSERSITE": "1"},
                cwd=folder)
    answer = json.loads(said.splitlines()[-1])
    return {"engine": PACKAGES[name].split("[")[0].split("==")[0], "messages": answer["messages"],
            "version": PACKAGES[name].split("==")[1],
            "messages_per_second": round(answer["messages"] / answer["seconds"]),
            "ns": answer["ns"], "without": list(rival_engines.leaves_out(name)),
            "verdict": _verdict(name, answer, truth)}


def compare(path, message_cnt) -> dict:
    """{"file", "messages", "engines": [rows, the fastest first], "skipped": {name: why}, "cpu"}.

    Raises RivalError, core_run.WrongTrades, workload.WorkloadError, OSError.
    """
    folder = cache_root() / "rivals"
    folder.mkdir(parents=True, exist_ok=True)
    load = core_run.load(path, message_cnt)
    if np.any(load.records["symbol"]):
        raise RivalError(f"{path}: the engines are compared on one symbol; give w1")
    core = core_run.measure(load, CORE_ROUNDS)
    latency = core_run.measure_latency(load, (core["trades"], core["checksum"]))
    rows, skipped = [], dict(LEFT_OUT)
    rows.append({"engine": "wirematch", "version": "", "messages": core["messages"],
                 "messages_per_second": core["messages_per_cpu_second"], "without": [],
                 "ns": {text: latency["ns"]["all"][text] for text in core_run.PERCENTILES},
                 "verdict": "trades equal"})
    try:
        python = _python(folder)
    except (subprocess.CalledProcessError, OSError) as error:
        raise RivalError(f"no virtual environment at {folder / 'venv'}: {error}; install "
                         "python3-venv") from error
    for name in PACKAGES:
        try:
            truth = _truth(load.records, name, message_cnt)
            rows.append(_play(name, python, folder, path, message_cnt, truth))
        except _Broken as broken:
            skipped[PACKAGES[name].replace("==", " ")] = str(broken)
    rows.sort(key=lambda row: -row["messages_per_second"])
    return {"file": load.path.name, "messages": message_cnt, "engines": rows, "skipped": skipped,
            "python": platform.python_version()}


def text(table) -> str:
    """The comparison, for people."""
    lines = [f"against the package index, {table['messages']:,} messages of {table['file']}, "
             "packages driven from Python, the core by its compiled loop, by CPU time:",
             f"  {'engine':<32} {'messages/s':>12} {'p50 ns':>9} {'p99 ns':>9} {'p99.9 ns':>10}"]
    for row in table["engines"]:
        name = f"{row['engine']} {row['version']}".strip()
        ns = row["ns"]
        note = "".join(f", no {word}" for word in row["without"])
        if row["messages"] < table["messages"] * 0.9:
            note += f", {row['messages']:,} messages"
        lines.append(f"  {name:<32} {row['messages_per_second']:>12,} {ns['p50']:>9,.0f} "
                     f"{ns['p99']:>9,.0f} {ns['p99.9']:>10,.0f}  {row['verdict']}{note}")
    lines += [f"  {name:<32} left out: {why}" for name, why in table["skipped"].items()]
    return "\n".join(lines)


def need_pictures():
    """Raises RivalError when matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        raise RivalError("--picture needs matplotlib; install it with: .venv/bin/python -m pip "
                         "install 'wirematch[picture]'") from None


def draw(table, path):
    """The comparison as a picture. Raises RivalError, OSError."""
    need_pictures()
    from tools.bench import picture
    picture.draw(table, path)

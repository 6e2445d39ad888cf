"""The fault report: every row of the catalogue with its judge, seed, count and verdict.

    wirematch faults report [--out FOLDER] [--seed S] [--scale N] [--only NAME ...] [--tests]
                            [--json]

Runs the campaigns of this package under one seed, and with --tests also the tests that the
catalogue names (in a checkout), and writes report.md and report.html. --scale multiplies the length
of every campaign; 1 is the short form of a few minutes. A row holds when all its judges say so. It
is "not run" when one of them was not run, and "not covered" when there is none.
"""

import argparse
import html
import json
import random
import subprocess
import sys
import time
from pathlib import Path

from tools.faults.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 900                     # for a campaign, times the scale
HOLDS, FAILED, NOT_RUN, NOT_COVERED = "holds", "FAILED", "not run", "not covered"
CANNOT = 77


def campaigns(seed: int, scale: int) -> dict[str, list[str]]:
    """Arguments of each campaign."""
    same = ["--seed", str(seed), "--json"]
    return {
        "xfuzz": ["--frames", str(2_000_000 * scale), *same],
        "simulate": ["--seeds", str(100 * scale), "--first", str(seed % 1_000_000), "--json"],
        "killer": ["--level", "disk", *same, "--matcher", str(20 * scale), "--journal",
                   str(4 * scale), "--recovery", str(2 * scale), "--portd", str(4 * scale),
                   "--launcher", str(2 * scale)],
        "lossy": ["--messages", str(60_000 * scale), "--joins", "5", "--seed", str(seed)],
        "cutter": ["--cuts", str(3 * scale), *same]}


def run(name: str, arguments: list[str], scale: int) -> dict:
    """{"command", "seconds", "verdict": HOLDS, FAILED or NOT_RUN, "says": JSON or last words}"""
    begun = time.monotonic()
    try:
        done = subprocess.run([sys.executable, "-m", f"tools.faults.{name}", *arguments], cwd=ROOT,
                              capture_output=True, text=True, timeout=PATIENCE_S * scale)
        code, words = done.returncode, done.stdout.strip() or done.stderr.strip()
    except subprocess.TimeoutExpired:
        code, words = 1, f"not done within {PATIENCE_S * scale} s"
    last = words.splitlines()[-1] if words else ""
    try:
        says = json.loads(last)
    except json.JSONDecodeError:
        says = last[:500]
    verdict = HOLDS if code == 0 else NOT_RUN if code == CANNOT else FAILED
    return {"command": " ".join(["wirematch faults", name, *arguments]), "verdict": verdict,
            "seconds": round(time.monotonic() - begun, 1), "says": says}


def run_tests(names: list[str]) -> dict[str, str]:
    """Verdict of each test of the catalogue; one that skips is not run."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-rA", "--no-header", *(
        f"tests/{name}" for name in names)], cwd=ROOT, capture_output=True, text=True)
    found = dict.fromkeys(names, NOT_RUN)
    for line in done.stdout.splitlines():
        word, _, where = line.partition(" tests/")
        name = where.partition("[")[0].partition(" ")[0]
        if name in found and word in ("PASSED", "FAILED", "ERROR"):
            good = word == "PASSED" and found[name] != FAILED
            found[name] = HOLDS if good else FAILED
    return found


def rows(verdicts: dict[str, str]) -> list[dict]:
    """The catalogue with a verdict a row, from the verdicts of its judges."""
    table = []
    for number, fault, promise, judges in CATALOGUE:
        said = [verdicts.get(judge, NOT_RUN) for judge in judges]
        verdict = (NOT_COVERED if not said else FAILED if FAILED in said
                   else NOT_RUN if NOT_RUN in said else HOLDS)
        table.append({"row": number, "fault": fault, "promise": promise, "verdict": verdict,
                      "judges": dict(zip(judges, said, strict=True))})
    return table


def as_markdown(report: dict) -> str:
    """The report as Markdown."""
    lines = ["# Fault report", "", f"{report['when']}, seed {report['seed']}, scale "
             f"{report['scale']}: " + ", ".join(f"{count} {verdict}" for verdict, count
                                                in report["totals"].items()), "",
             "| row | fault | what must hold | judged by | verdict |", "|---|---|---|---|---|"]
    lines += [f"| {row['row']} | {row['fault']} | {row['promise']} | "
              + ", ".join(f"{judge} ({said})" for judge, said in row["judges"].items())
              + f" | {row['verdict']} |" for row in report["rows"]]
    lines += ["", "## Campaigns", ""]
    for name, found in report["campaigns"].items():
        says = found["says"] if isinstance(found["says"], str) else json.dumps(found["says"])
        lines += [f"* **{name}**: {found['verdict']} in {found['seconds']} s, "
                  f"`{found['command']}`", f"  `{says[:400]}`"]
    return "\n".join(lines) + "\n"


def as_html(report: dict) -> str:
    """The same as a page that needs nothing else."""
    def cells(kind, values):
        return "<tr>" + "".join(f"<{kind}>{html.escape(str(each))}</{kind}>"
                                for each in values) + "</tr>"

    table = "\n".join(cells("td", (
        row["row"], row["fault"], row["promise"],
        ", ".join(f"{judge} ({said})" for judge, said in row["judges"].items()), row["verdict"]))
        for row in report["rows"])
    done = "\n".join(cells("td", (name, found["verdict"], found["seconds"], found["command"]))
                     for name, found in report["campaigns"].items())
    return (f"<!doctype html><meta charset=utf-8><title>Fault report</title><style>body{{font:14px "
            "sans-serif;margin:2em}table{border-collapse:collapse}td,th{border:1px solid #bbb;"
            "padding:3px 8px;text-align:left;vertical-align:top}</style>"
            f"<h1>Fault report</h1><p>{html.escape(report['when'])}, seed {report['seed']}, scale "
            f"{report['scale']}</p><table>"
            + cells("th", ("row", "fault", "what must hold", "judged by", "verdict")) + table
            + "</table><h2>Campaigns</h2><table>"
            + cells("th", ("campaign", "verdict", "seconds", "command")) + done + "</table>\n")


def make(seed: int, scale: int, only, with_tests: bool, note) -> dict:
    """Runs everything; the report."""
    found, verdicts = {}, {}
    for name, arguments in campaigns(seed, scale).items():
        if only and name not in only:
            continue
        note(f"{name} ...")
        found[name] = run(name, arguments, scale)
        verdicts[name] = found[name]["verdict"]
        note(f"{name}: {verdicts[name]} in {found[name]['seconds']} s")
    if with_tests:
        note("tests ...")
        verdicts |= run_tests(sorted({judge for *_, judges in CATALOGUE for judge in judges
                                      if "::" in judge}))
    table = rows(verdicts)
    totals = {verdict: sum(row["verdict"] == verdict for row in table)
              for verdict in (HOLDS, FAILED, NOT_RUN, NOT_COVERED)}
    return {"when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "seed": seed,
            "scale": scale, "totals": totals, "rows": table, "campaigns": found}


def main(arguments=None) -> int:
    """Exit codes: 0 nothing failed, 1 a row has failed."""
    parser = argparse.ArgumentParser(prog="wirematch faults report", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=".", metavar="FOLDER", help="for report.md, report.html")
    parser.add_argument("--seed", type=int, help="of every campaign (default: a new one)")
    parser.add_argument("--scale", type=int, default=1, help="times the short form")
    parser.add_argument("--only", nargs="*", default=(), metavar="NAME", help="these campaigns")
    parser.add_argument("--tests", action="store_true", help="the catalogue's tests too")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1 << 31) if options.seed is None else options.seed
    strange = sorted(set(options.only) - set(campaigns(seed, 1)))
    if strange:
        parser.error(f"--only {' '.join(strange)}: choose from {', '.join(campaigns(seed, 1))}")
    report = make(seed, max(1, options.scale), options.only, options.tests,
                  lambda text: print(text, file=sys.stderr, flush=True))
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(as_markdown(report))
    (folder / "report.html").write_text(as_html(report))
    print(json.dumps(report) if options.as_json else
          f"seed {seed}: " + ", ".join(f"{count} {verdict}" for verdict, count
                                       in report["totals"].items())
          + f"; {folder / 'report.md'}, {folder / 'report.html'}")
    return 1 if report["totals"][FAILED] else 0


if __name__ == "__main__":
    sys.exit(main())

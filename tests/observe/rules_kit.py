"""What Prometheus would say: the packaged rules over scrapes of a real exporter, by promtool.

    firing([quiet, loud])      names of the alerts that fire two minutes after the last scrape began

Each scrape is held for five minutes, as if nothing else had changed. promtool's clock begins at 0,
so times of alarms are moved with their scrape.
"""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.shared_data import ROOT

RULES = ROOT / "systemd/prometheus/wirematch.rules.yml"
STEP_S, HELD, LAST = 15, 20, 8
_GOT = re.compile(r'alertname="(\w+)"')

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not here; install Debian's package prometheus")


class Scrape(NamedTuple):
    """The text of /metrics, and the wall clock when it was had (seconds since 1970)."""

    at_s: float
    text: str


def promtool(*arguments, **more) -> subprocess.CompletedProcess:
    """Runs it; its words as text."""
    return subprocess.run(["promtool", *map(str, arguments)], text=True, capture_output=True,
                          timeout=60, **more)


def samples(text) -> dict:
    """{series: value as text} of an exposition."""
    rows = (line.rpartition(" ") for line in text.splitlines()
            if line and not line.startswith("#"))
    return {series: value for series, _, value in rows}


def firing(scrapes, steps=LAST) -> set:
    """Names of the alerts that fire, `steps` evaluations after the last scrape began."""
    series = {}
    for idx, scrape in enumerate(scrapes):
        count = steps + 1 if idx == len(scrapes) - 1 else HELD
        for name, value in samples(scrape.text).items():
            if name.startswith("wirematch_alarm_last_seconds"):
                value = f"{float(value) - scrape.at_s + idx * HELD * STEP_S:.3f}"
            values = series.setdefault(name, [])
            values += ["_"] * (idx * HELD - len(values)) + [value] * count
    last_s = ((len(scrapes) - 1) * HELD + steps) * STEP_S
    series['up{job="wirematch"}'] = ["1"] * (last_s // STEP_S + 1)
    case = {"rule_files": [str(RULES)], "evaluation_interval": f"{STEP_S}s", "tests": [{
        "interval": f"{STEP_S}s",
        "input_series": [{"series": name, "values": " ".join(values)}
                         for name, values in series.items()],
        "promql_expr_test": [{
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{last_s}s",
            "exp_samples": [{"labels": '{alertname="Nothing"}', "value": 1}]}]}]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.yml"
        path.write_text(json.dumps(case))
        said = promtool("test", "rules", path)
    text = said.stdout + said.stderr
    assert said.returncode == 1 and "got:" in text, text
    got = text.partition("got:")[2]
    return set(_GOT.findall(got))

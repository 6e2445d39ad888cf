"""Processes that kill themselves at each named point, under load: nothing shown is lost."""

import os
import subprocess
import sys

import pytest

from appliance import faultpoint
from tests.netns import needs_bpf, needs_namespaces
from tools.faults import killer, killer_point


@needs_namespaces
@needs_bpf
@pytest.mark.slow
@pytest.mark.parametrize("point", faultpoint.POINTS)
def test_death_at_a_point_loses_nothing(warm, point):
    level = "disk" if point.startswith("journal") else "process"
    found = killer_point.run(point, level)
    assert found["faults"] == [], found["words"]
    assert found["commands"] > 100


def test_a_point_fires_once_at_the_nth_time_and_not_at_all_unarmed():
    code = ("from appliance import faultpoint\nimport os\nprint(faultpoint.arm())\n"
            "faultpoint.at('journal-roll'); faultpoint.at('journal-synced')\n"
            "print('once', flush=True)\n"
            "pid = os.fork()\n"
            "if pid == 0:\n faultpoint.at('journal-roll'); os._exit(7)\n"
            "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)\n"
            "faultpoint.at('journal-roll'); print('passed')")

    def run(**more):
        return subprocess.run([sys.executable, "-c", code], env=os.environ | more, text=True,
                              capture_output=True)
    assert run().stdout.split() == ["once", "7", "passed"]
    armed = run(WIREMATCH_FAULT="journal-roll:2")
    assert "KILL ITSELF" in armed.stdout and armed.stdout.split()[-3:] == ["once", "-9", "passed"]
    assert armed.stderr.count("kills itself at journal-roll") == 1


@pytest.mark.parametrize("text, words", [("roof", "there is no point roof"),
                                         ("journal-roll:0", "0 is not a number from 1 on")])
def test_points_that_are_none(text, words, capsys):
    with pytest.raises(ValueError, match=words):
        faultpoint.parse(text)
    with pytest.raises(SystemExit) as problem:
        killer.main(["--point", text])
    assert problem.value.code == 2 and words in capsys.readouterr().err

"""All commands: quick help, and the exit codes that every one of them keeps to."""

import resource
import subprocess
import sys

import pytest
from click.testing import CliRunner

from appliance import cli
from tests.control.test_cli import EXAMPLE

pytestmark = pytest.mark.alone

HELP_S = 0.15
# The maker and the sender of captures import numba to declare their options; only they may be slow.
SLOW = {"flow", "replay"}


def names(group=cli.main, before=()):
    """Every command and sub-command as words; tools' own groups are not looked into."""
    for name in sorted({*group.commands, *(cli.TOOLS if group is cli.main else ())}):
        yield (*before, name)
        inner = group.commands.get(name)
        if hasattr(inner, "commands"):
            yield from names(inner, (*before, name))


ALL = [*names(), ("configure", "check"), ("configure", "init"), ("configure", "fini")]


def seconds_of(*arguments):
    """CPU time of a whole process of the interpreter."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("words", [words for words in ALL if words[0] not in SLOW], ids=" ".join)
def test_help_is_quick(words):
    """On a machine that is slow just now: twice what the interpreter takes to load click."""
    best = bare = 9.0
    for _ in range(8):
        best = min(best, seconds_of("-m", "appliance.cli", *words, "--help"))
        if best < HELP_S:
            return
        bare = min(bare, seconds_of("-c", "import click"))
    assert best < 2 * bare


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_an_unknown_option_is_wrong_use(words):
    assert CliRunner().invoke(cli.main, [*words, "--no-such-option"]).exit_code == 2


@pytest.mark.parametrize(("words", "code"), [
    (("check-config", str(EXAMPLE)), 0), (("topology", "--config", str(EXAMPLE)), 0),
    (("configure", "check", "--config", str(EXAMPLE), "queues"), 0),
    (("check-config", "/nonexistent"), 1), (("run", "--config", "/nonexistent"), 1),
    (("configure", "check", "--config", "/nonexistent"), 1),
    (("configure", "check", "--config", str(EXAMPLE), "no-stage"), 2),
    (("inspect",), 2), (("inspect", "/nonexistent"), 1),
    (("doctor", "--config", str(EXAMPLE)), 4)], ids=lambda value: str(value))
def test_exit_codes(words, code):
    result = CliRunner().invoke(cli.main, list(words))
    assert result.exit_code == code, result.output


def test_a_required_setting_that_is_missing_is_exit_code_3(monkeypatch, tmp_path):
    from appliance.control import wants as deriving
    from appliance.host import machine
    from tests.host.recorded import record, wants
    recorded = machine.Machine(record(tmp_path))
    monkeypatch.setattr(machine, "Machine", lambda: recorded)
    monkeypatch.setattr(deriving, "derive", lambda _: wants())
    result = CliRunner().invoke(cli.main, ["configure", "check", "--config", str(EXAMPLE)])
    assert result.exit_code == 3 and "required" in result.output
    advisory = ["configure", "check", "--config", str(EXAMPLE), "governor"]
    assert CliRunner().invoke(cli.main, advisory).exit_code == 0
    assert CliRunner().invoke(cli.main, [*advisory, "--strict"]).exit_code == 3

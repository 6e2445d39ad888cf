"""`wirematch bench durability` in short: all orders are taken, and the journal holds them."""

import json

import pytest

from tests.netns import needs_bpf, needs_namespaces
from tools.bench import durability

pytestmark = pytest.mark.alone


@needs_namespaces
@needs_bpf
@pytest.mark.slow
def test_a_level_is_measured_and_its_journal_read(tmp_path, capsys):
    for _ in range(3):                           # somebody else's load may hide it for once
        assert durability.main(["--orders", "20000", "--rounds", "1", "--directory", str(tmp_path),
                                "--levels", "disk", "--json"]) == 0, capsys.readouterr()
        levels = json.loads(capsys.readouterr().out)["levels"]
        assert set(levels) == {"none", "disk"}
        medians = [levels[name]["ack_us"]["p50"] or 1e9 for name in ("none", "disk")]
        if medians[1] > medians[0]:
            break
    assert medians[1] > medians[0], "it waits"
    assert levels["none"]["sync_max_us"] == 0 < levels["disk"]["sync_max_us"]
    assert not list(tmp_path.iterdir()), "journals are removed again"


def test_a_journal_that_misses_a_command_is_no_figure(tmp_path):
    (tmp_path / "20260101" / "p0").mkdir(parents=True)
    with pytest.raises(RuntimeError, match="holds no journal"):
        durability.holds(tmp_path, 5)

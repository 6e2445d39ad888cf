"""Hostile frames by name at a running appliance: each in exactly one counter, the named one."""

import pytest

from tests.netns import needs_bpf, needs_namespaces
from tools.faults import catalogue, inject
from tools.faults.hostile_place import HostilePlace
from tools.faults.inject_kinds import KINDS, Kind

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]


def test_every_kind_moves_its_counter_and_a_wrong_expectation_is_noticed(warm, monkeypatch):
    with HostilePlace() as place:
        found = inject.run(count=20, place=place)
        assert found["faults"] == [] and len(found["kinds"]) == len(KINDS)
        assert {row["row"] for row in found["kinds"]} <= {row for row, *_ in catalogue.CATALOGUE}
        wrong = Kind("vlan", "F7", "pass_not_udp", "", KINDS["vlan"].make)
        monkeypatch.setitem(KINDS, "vlan", wrong)
        (fault,) = inject.run(["vlan"], 3, place=place)["faults"]
        assert "'pass_vlan': 3" in fault and "expected {'pass_not_udp': 3" in fault


def test_names_that_are_none(capsys):
    with pytest.raises(SystemExit) as problem:
        inject.main(["vlna"])
    assert problem.value.code == 2
    assert "vlna: there are random, truncated" in capsys.readouterr().err
    assert inject.main(["--list"]) == 0
    assert "unknown-source      drop_unknown_source" in capsys.readouterr().out

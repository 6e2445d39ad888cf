"""`wirematch bench scan`: answers are checked before a figure, and the crossing is found."""

import json

import numpy as np
import pytest

from appliance.native import SCAN_VARIANTS, lib
from tools.bench import scan


def test_every_variant_of_this_cpu_is_measured(capsys, monkeypatch):
    monkeypatch.setattr(scan, "LENGTHS", (1, 40))
    assert scan.main(["--rounds", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    chosen = SCAN_VARIANTS[lib.wm_scan_best()]
    assert said["chosen"] == chosen and set(said["ns_a_scan"]) == {"1", "40"}
    for row in said["ns_a_scan"].values():
        assert {"scalar", chosen} <= set(row) and min(row.values()) > 0


def test_wrong_answer_gives_no_figure(capsys, monkeypatch):
    right = np.searchsorted
    monkeypatch.setattr(scan.np, "searchsorted", lambda *given: right(*given) + 1)
    monkeypatch.setattr(scan, "LENGTHS", (40,))
    with pytest.raises(scan.WrongScan, match="query 0"):
        scan.measure(40, 1)


@pytest.mark.parametrize("vector, first", [((1, 1, 1), 1), ((9, 1, 1), 8), ((1, 9, 1), 64),
                                           ((1, 1, 9), None)])
def test_it_pays_from_where_it_is_quicker_for_good(vector, first):
    rows = {length: {"scalar": 5, "AVX2": ns}
            for length, ns in zip((1, 8, 64), vector, strict=True)}
    assert scan.pays_from(rows, "AVX2") == first

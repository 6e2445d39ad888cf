"""Core map and wait policy for machines of several shapes."""

import pytest

from appliance.host import cores


def alone(cpu):
    return frozenset((cpu,))


def pairs_of(half):
    """Hyper-threads: cpu and cpu + half share a core."""
    return lambda cpu: frozenset((cpu % half, cpu % half + half))


def test_two_cpus_spin_on_the_last():
    found = cores.plan("auto", [], 1, {0, 1}, alone)
    assert found == cores.CoreMap("spin", (1,), (0,))


def test_one_cpu_yields():
    assert cores.plan("auto", [], 1, {0}, alone) == cores.CoreMap("yield", (0,), (0,))


def test_two_threads_of_one_core_yield():
    found = cores.plan("auto", [], 1, {0, 1}, pairs_of(1))
    assert found.wait == "yield"


def test_sibling_of_a_spinner_is_left_idle():
    found = cores.plan("auto", [], 1, {0, 1, 2, 3}, pairs_of(2))
    assert found == cores.CoreMap("spin", (1,), (0, 2))


def test_two_spinners_on_two_cpus_yield_and_on_three_spin():
    assert cores.plan("auto", [], 2, {0, 1}, alone).wait == "yield"
    assert cores.plan("auto", [], 2, {0, 1, 2}, alone) == cores.CoreMap("spin", (1, 2), (0,))


def test_wanted_cpu_is_taken():
    assert cores.plan("auto", [2], 1, {0, 1, 2, 3}, alone) == cores.CoreMap("spin", (2,), (0, 1, 3))


def test_forced_yield_stays():
    assert cores.plan("yield", [], 1, {0, 1, 2}, alone).wait == "yield"


@pytest.mark.parametrize("wait, wanted, cpus, words", [
    ("auto", [9], {0, 1}, "CPU 9 is not among those this process may use"),
    ("auto", [0, 1], {0, 1}, "name 1 different"),
    ("spin", [], {0}, "choose \"auto\" or \"yield\""),
])
def test_what_cannot_be_had_is_refused(wait, wanted, cpus, words):
    with pytest.raises(cores.CoreError, match=words):
        cores.plan(wait, wanted, 1, cpus, alone)


def test_realtime_needs_a_core_for_each_matcher_and_one_more():
    found = cores.plan("auto", [], 1, {0, 1}, alone, realtime=50)
    assert found == cores.CoreMap("spin", (1,), (0,), 50)
    assert "SCHED_FIFO 50" in found.text()
    for count, cpus in ((2, {0, 1}), (1, {0})):
        with pytest.raises(cores.CoreError, match=r"cores.realtime = 50: .* choose 0"):
            cores.plan("auto", [], count, cpus, alone, realtime=50)


def test_throttling_is_what_the_kernel_says(tmp_path):
    for text, stopped in (("950000\n", True), ("-1\n", False), ("", False)):
        (tmp_path / "runtime").write_text(text)
        assert cores.throttled(tmp_path / "runtime") is stopped
    assert not cores.throttled(tmp_path / "none")


def test_the_rest_is_what_the_launcher_says(monkeypatch):
    monkeypatch.delenv(cores.REST_VARIABLE, raising=False)
    assert cores.rest() == set()
    monkeypatch.setenv(cores.REST_VARIABLE, "0,2,3")
    assert cores.rest() == {0, 2, 3}


def test_kernel_lists_are_read():
    assert cores.parse_list("0-2,5,7-8") == [0, 1, 2, 5, 7, 8]


def test_nothing_granted_means_yield(monkeypatch):
    monkeypatch.delenv(cores.WAIT_VARIABLE, raising=False)
    assert cores.granted()[1] == "yield"
    monkeypatch.setenv(cores.WAIT_VARIABLE, "spin")
    assert cores.granted()[1] == "spin"
    monkeypatch.setenv(cores.WAIT_VARIABLE, "sleep")
    assert cores.granted()[1] == "yield"

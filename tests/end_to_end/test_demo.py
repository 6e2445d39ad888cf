"""`wirematch demo` on rungs and over DPDK: its verdict, JSON, processes; all say the same."""

import pytest

from tests.dpdk import needs_dpdk
from tests.netns import needs_namespaces

pytestmark = needs_namespaces

PROMISED = {"mode", "orders", "acknowledged", "rejected", "trades", "feed_messages", "lost",
            "oracle_equal", "orders_per_second", "ack_us"}
PACED = 2_000                # one second of the latency pass
OUCH_TIME, ITCH_TIME = slice(1, 9), slice(5, 11)


def without(part, message):
    """The message with its timestamp zeroed."""
    data = bytearray(message)
    data[part] = bytes(part.stop - part.start)
    return bytes(data)


@pytest.fixture(params=["native", "socket", pytest.param("dpdk", marks=needs_dpdk)])
def outcome(request):
    """The demo on each rung in turn."""
    if request.param == "dpdk":
        return request.getfixturevalue("over_dpdk")
    return request.getfixturevalue("rungs")[request.param]


@pytest.mark.slow
def test_a_demo_equals_the_oracle_and_loses_nothing(outcome, request):
    mode = request.node.callspec.params["outcome"]
    result = outcome.result
    assert outcome.code == 0, outcome.words
    assert result["mode"] == mode and result["oracle_equal"] is True
    assert (result["lost"], result["crossed"]) == (0, 0)
    assert set(result) >= PROMISED and set(result["ack_us"]) == {"p50", "p99", "p99_9"}
    assert 0 < result["ack_us"]["p50"] <= result["ack_us"]["p99"] <= result["ack_us"]["p99_9"]
    assert result["orders"] == 20_000 + PACED
    streams, feed = outcome.kept
    assert result["acknowledged"] == sum(map(len, streams))
    assert result["feed_messages"] == len(feed)
    assert result["trades"] == sum(message[:1] == b"E" for message in feed) > 100
    assert result["rejected"] == sum(m[:1] == b"J" for stream in streams for m in stream)


@pytest.mark.slow
def test_matcher_and_recovery_have_no_rights_while_a_demo_runs(outcome):
    rights = outcome.rights
    assert set(rights) == {"forkserver", "portd", "matcher@0", "recovery@0"}
    assert rights["portd"].uid == 0 and rights["portd"].capabilities
    for name in ("matcher@0", "recovery@0"):
        assert rights[name].uid != 0
        assert (rights[name].capabilities, rights[name].no_new_privileges) == (0, 1)
    assert rights["matcher@0"].uid != rights["recovery@0"].uid


def assert_same(one, other):
    """Two demos have said the same, but for the time of the day."""
    for account, (stream, twin) in enumerate(zip(one[0], other[0], strict=True)):
        assert ([without(OUCH_TIME, m) for m in stream]
                == [without(OUCH_TIME, m) for m in twin]), f"account {account}"
    assert [without(ITCH_TIME, m) for m in one[1]] == [without(ITCH_TIME, m) for m in other[1]]


@pytest.mark.slow
def test_both_rungs_give_the_same_bytes(rungs):
    native = rungs["native"].kept
    assert sum(map(len, native[0])) > 20_000 and len(native[1]) > 15_000
    assert_same(native, rungs["socket"].kept)


@needs_dpdk
@pytest.mark.slow
def test_the_dpdk_port_gives_the_same_bytes(rungs, over_dpdk):
    assert_same(rungs["native"].kept, over_dpdk.kept)


@pytest.mark.slow
def test_the_whole_half_hour_of_bitstamp_over_native_af_xdp(bitstamp):
    result = bitstamp.result
    assert bitstamp.code == 0, bitstamp.words
    assert result["mode"] == "native" and result["oracle_equal"] is True
    assert (result["lost"], result["crossed"]) == (0, 0)
    assert result["orders"] > 300_000 and result["acknowledged"] > result["orders"]
    assert result["far_scans"] > 0, "the far arrays and their scan take part in the demo"
    assert result["trades"] > 1_000
    assert "rung" in bitstamp.words and "equal, message by message" in bitstamp.words

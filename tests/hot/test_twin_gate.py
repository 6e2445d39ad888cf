"""The publish gate before feed B on an interface of its own: no cursor passes limit_seq, so no
re-request shows what lies beyond it. tests/hot/test_twin.py runs this without the compiler."""

from appliance.hot import idle, io_state, transmit, twin
from appliance.stages.recovery import FeedReader
from tests.hot.harness import blocks_of, mold
from tests.hot.test_twin import NOBODY, SECOND, ended, venue, without_compiler

pytestmark = without_compiler
__all__ = ["venue"]


def lagging(venue, **options):
    """B has sent nothing of 300 orders yet."""
    made = venue(**options)
    first = int(made.core.feed.log[0]["twin_seq"])
    made.hear().clear()
    made.io.words[io_state.TWIN_RETRY_NS] = io_state.NEVER
    made.orders(1, 300)
    made.io.words[io_state.TWIN_RETRY_NS] = 0
    return made, first


def send(made, limit_seq):
    core, port, io, params = made.core, made.port, made.io, made.params
    return twin.send_twin(core, port, io, params, limit_seq, made.now_ns)


def shown(made):
    """The first number that recovery does not answer, were A as far as B."""
    log = made.core.feed.log.copy()
    log[0]["sent_seq"] = 1
    return FeedReader(log, made.core.feed.ring, made.core.feed.index).bounds()[1]


def numbers(made):
    made.feed_payloads["B"].clear()
    return [n for payload in made.hear() for _, seq, count, _ in [blocks_of(payload)]
            for n in range(seq, seq + count)]


def test_b_sends_what_lies_before_it_and_goes_on_there(venue):
    made, first = lagging(venue)
    for limit in (first + 1, first + 100, first + 101):
        start = int(made.core.feed.log[0]["twin_seq"])
        assert send(made, limit) > 0
        assert numbers(made) == list(range(start, limit))
        assert shown(made) == limit
    assert send(made, limit) == 0


def test_a_lost_interface_leaves_out_no_more_than_may_be_shown(venue):
    made, first = lagging(venue)
    made.to(NOBODY)
    send(made, first + 100)
    assert made.core.feed.log[0]["twin_seq"] == shown(made) == first + 100
    assert made.counters["twin_lost"] == 100


def test_what_the_log_has_forgotten_is_left_out_up_to_there(venue):
    made, first = lagging(venue, sizes=dict(feed_bytes=1 << 14, feed_messages=1 << 7))
    log = made.core.feed.log[0]
    oldest, last = int(log["oldest_seq"]), int(log["next_seq"])
    assert first + 50 < oldest < last
    send(made, first + 50)
    assert (shown(made), made.counters["twin_lost"]) == (first + 50, 50)
    send(made, oldest + 7)
    assert numbers(made) == list(range(oldest, oldest + 7))
    assert made.counters["twin_lost"] == oldest - first
    log["sent_seq"] = first
    transmit.send_feed(made.core, made.port, made.io, made.params, first + 50, made.now_ns)
    assert log["sent_seq"] == first + 50


def test_a_heartbeat_and_an_end_wait_for_it_alone(venue):
    made, first = lagging(venue)
    send(made, first + 10)
    made.hear().clear()

    def say(limit):
        return twin.say_twin(made.core, made.port, made.io, made.params, 0, limit, made.now_ns)
    assert not say(first + 11) and say(first + 10)
    assert made.hear() == [mold(made.feed_name, first + 10, [])]


def test_heartbeats_go_on_before_a_closed_gate_and_ends_wait(venue):
    made = venue(end_interval_ns=1000)
    made.orders(1, 3)
    made.hear().clear()
    limit = int(made.core.feed.log[0]["next_seq"])
    made.core.feed.log[0]["next_seq"] += 1             # a message that may not be shown yet
    made.io.words[io_state.FRAMES_LEFT] = 10
    for phase, wanted in ((1, [mold(made.feed_name, limit, [])]), (2, [])):
        made.core.book.engine[0]["phase"] = phase
        made.advance(SECOND)
        idle.send_idle(made.core, made.port, made.io, made.params, limit, made.now_ns)
        assert made.hear() == wanted
        made.hear().clear()
    assert made.io.words[io_state.FEED_ENDED_CNT] == 0 and not ended(made)

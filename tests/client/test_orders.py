"""OrderSession against the oracle's venue on loopback: orders, answers, waiting, a second login."""

import time

import pytest

from appliance.client.orders import MARKET
from appliance.layout.codec import WireError, decode
from tests.client.venue_host import letters, until
from tests.oracle.session import packet

NAME = b"326O010010"


def test_orders_follow_their_answers(host, join):
    """A U C E M T in one life; the other account trades against it."""
    session, other = join(0), join(1)
    session.login()
    other.login()
    number = session.enter("S", 100, "AAPL", 10_000, clordid="first")
    answer = session.wait(number)[-1]
    assert (answer.letter, answer.cl_ord_id, answer.quantity) == ("A", "first", 100)
    order = session.orders[number]
    assert (order.symbol, order.side, order.price, order.open_qty, order.executed_qty) == (
        "AAPL", "S", 10_000, 100, 0)
    other.wait(other.enter("B", 30, "AAPL", MARKET, time_in_force="3"))
    until(session, lambda: order.executed_qty == 30)
    assert order.open_qty == 70
    session.cancel(number, 90)                           # the total: 30 of it are executed
    session.wait(number)
    assert order.open_qty == 60
    session.modify(number, "T", 80)
    session.wait(number)
    assert (order.open_qty, order.side) == (50, "T")
    before = order.order_reference_number
    session.modify(number, "T", 200)
    until(session, lambda: order.order_reference_number != before)
    assert order.open_qty == 170
    new = session.replace(number, 130, 10_100)
    session.wait(new)
    assert number not in session.orders
    order = session.orders[new]
    assert (order.open_qty, order.executed_qty, order.price, order.side) == (100, 30, 10_100, "T")
    live = host.venue.book.live[0][new]
    assert (live.open, live.executed(), live.price) == (100, 30, 10_100)
    session.cancel(new)
    session.wait(new)
    assert session.orders[new].open_qty == 0


def test_a_self_match_takes_what_was_prevented(host, join):
    session = join(1)                                    # account 1 takes the oldest away
    session.login()
    resting = session.enter("B", 50, "AAPL", 10_000)
    session.wait(session.enter("S", 20, "AAPL", 10_000))
    until(session, lambda: session.orders[resting].open_qty == 0)
    assert session.orders[resting + 1].open_qty == 20


def test_rejects_and_mass_cancels_are_answers_too(host, join):
    session = join()
    session.login()
    number = session.enter("B", 10, "NOBODY", 10_000, clordid="x")
    answer = session.wait(number)[-1]
    assert (answer.letter, answer.reason, answer.cl_ord_id) == ("J", 0x0017, "x")
    one, two = session.enter("B", 10, "AAPL", 10_000), session.enter("B", 10, "MSFT", 10_000)
    all_of_aapl = session.mass_cancel("AAPL")
    answers = until(session, lambda: one in session.orders and not session.orders[one].open_qty)
    assert "X" in letters(answers) and session.orders[two].open_qty == 10
    assert session.enter("B", 1, "AAPL", 10_000) == all_of_aapl + 1


def test_a_value_that_does_not_fit_sends_nothing_and_uses_no_number(host, join):
    session = join()
    session.login()
    for bad in (dict(symbol="MUCHTOOLONG"), dict(quantity=1 << 32), dict(tags={"nothing": 1})):
        given = {"side": "B", "quantity": 1, "symbol": "AAPL", "price": 10_000} | bad
        with pytest.raises(WireError):
            session.enter(**given)
    with pytest.raises(ValueError, match="1450 bytes; 1449 fit a datagram"):
        session.send_raw(bytes(1450))
    assert session.counts["sent"] == 0 and session.enter("B", 1, "AAPL", 10_000) == 1
    assert session.wait(1)[-1].letter == "A"


def test_the_hook_sees_every_answer_after_the_orders_took_it(host, join):
    seen = []
    session = join(answers=lambda record: seen.append((record.letter, len(session.orders))))
    session.login()
    session.wait(session.enter("B", 1, "AAPL", 10_000))
    assert seen == [("S", 0), ("A", 1)]


def test_a_wait_that_is_over_says_what_came_and_loses_nothing(host, join):
    session = join()
    session.login()
    number = session.enter("B", 5, "AAPL", 10_000)
    while host.cursors[0] < 3:                           # both answers are on their way
        time.sleep(0.01)
    begun = time.monotonic()
    with pytest.raises(TimeoutError) as raised:
        session.wait(number + 1, timeout=0.2)
    assert 0.2 <= time.monotonic() - begun < 30
    words = str(raised.value)
    assert words.startswith(f"no answer to UserRefNum {number + 1} of ACC0 within 0.2 s; the host "
                            "was last heard ")
    assert "2 other answers came" in words and "resume()" in words
    assert letters(session.poll()) == "SA"


def test_a_used_number_is_ignored_and_the_sentence_says_what_to_do(host, join):
    old, new = join(), join()
    old.login()
    old.wait(old.enter("B", 5, "AAPL", 10_000))
    new.login(0)
    with pytest.raises(TimeoutError, match=r"resume\(\) after a second login"):
        new.wait(new.enter("B", 5, "AAPL", 10_000), timeout=0.2)
    until(new, lambda: host.venue.counters["messages_stale"] == 1)


def test_a_message_that_is_not_ouch_uses_its_number_and_is_counted(host, join):
    """A later edition's message must not end a session."""
    session = join()
    session.login()
    until(session, lambda: session.expected == 2)
    with host.lock:
        known = host.venue.streams[0][0]
        host.venue.streams[0] += [b"z" + bytes(20), known[:5], known]
    answers = until(session, lambda: session.expected == 5)
    assert letters(answers) == "S" and session.counts["malformed"] == 2
    host.say(0, packet(NAME, 5, [b"", b"X" + known]))
    until(session, lambda: session.expected == 7)
    assert session.counts["malformed"] == 4


def test_answers_decode_as_the_codec_says(host, join):
    session = join()
    session.login()
    answers = session.wait(session.enter("B", 5, "AAPL", 10_000, tags={"firm": "FRM0"}))
    assert answers[-1] == decode("ouch", "out", host.venue.streams[0][-1])


def test_a_second_session_goes_on_where_the_first_ended(host, join):
    """Number 3 was sent and its answer never read; without `resume` it would be used again."""
    old = join()
    old.login()
    resting = old.enter("B", 30, "AAPL", 10_000)
    gone = old.enter("B", 40, "AAPL", 11_000)
    old.cancel(gone)
    old.wait(gone)
    old.enter("S", 5, "MSFT", 20_000)
    until(old, lambda: len(host.venue.streams[0]) == 5)
    new = join()
    new.login()
    assert new.resume() == 4
    assert {number: order.open_qty for number, order in new.orders.items()} == {
        1: 30, 2: 0, 3: 5}
    assert letters(new.poll()) == "SAACAQ", "what came meanwhile is left for poll"
    assert new.enter("B", 1, "AAPL", 10_000) == 4
    assert new.wait(4)[-1].letter == "A"
    new.cancel(resting)
    assert until(new, lambda: not new.orders[resting].open_qty)[-1].quantity == 30


def test_answers_to_earlier_queries_are_not_taken_for_the_last_one(host, join):
    """A stream that is sent again has them too; behind the last one only known numbers come."""
    old = join()
    old.login()
    old.resume()
    old.wait(old.enter("B", 30, "AAPL", 10_000))
    old.query()
    until(old, lambda: old.expected == 5)
    first_query, accepted, second_query = host.venue.streams[0][1:4]
    session, now = join(1), [100.0]
    session.clock = lambda: now[0]
    session.query()
    for message, passed, known in ((first_query, 0.04, False), (accepted, 1.0, False),
                                   (second_query, 0.04, False), (b"", 0.02, True)):
        if message:
            session._message(message)
        now[0] += passed
        assert session.known is known, message
    session.stream.tell(session.stream.expected + 1)         # something is missing: wait for it
    assert not session.known


def test_numbers_also_continue_from_what_the_stream_shows(host, join):
    old = join()
    old.login()
    old.wait(old.enter("B", 30, "AAPL", 10_000))
    old.mass_cancel()
    until(old, lambda: old.expected == 5)
    new = join()
    new.login()
    until(new, lambda: new.expected == 5)
    assert new.user_ref == 2


def test_resume_that_is_not_answered_says_so(host, join):
    session = join()
    session.login()
    host.lost_in = lambda payload: True
    with pytest.raises(TimeoutError, match="Account Query of ACC0: nothing came for 0.1 s"):
        session.resume(0.1)


def test_logins_at_any_number(host, join):
    session = join()
    session.login()
    for _ in range(5):
        session.wait(session.enter("B", 10, "AAPL", 10_000))
    for requested, numbers_seen in ((3, [2, 3, 4, 5]), (6, [5]), (0, []), (999, [])):
        again = join()
        again.login(requested)
        assert again.resume() == 6, "no number is used twice"
        assert [r.user_ref_num for r in again.poll() if r.letter == "A"] == numbers_seen

"""Numbered messages out of datagrams that are lost, doubled, shuffled and cut differently."""

import random

import pytest

from appliance.client import inorder
from appliance.client.inorder import InOrder

NAMES = ("gaps", "duplicates", "overflow")


def made(first=1, retry_s=1.0, progress_s=0.1):
    return InOrder(first, dict.fromkeys(NAMES, 0), retry_s, progress_s)


def text(seq, count):
    return [str(number) for number in range(seq, seq + count)]


@pytest.mark.parametrize("seed", range(20))
def test_every_message_once_and_in_order_whatever_happens_to_the_datagrams(seed):
    rng, stream, first = random.Random(seed), made(5), 5
    total, at, sent = 400, 5, []
    while at < first + total:                                   # two senders that cut differently
        count = min(rng.randint(1, 9), first + total - at)
        sent.append((at, count))
        at += count
    for at in range(first, first + total, 4):
        sent.append((at, min(4, first + total - at)))
    sent = [each for each in sent if rng.random() > 0.3] + rng.sample(sent, 40)
    rng.shuffle(sent)
    taken, now = [], 0.0
    for seq, count in sent:
        stream.take(seq, text(seq, count))
        taken += stream.due()
    stream.tell(first + total, end=True)
    assert not stream.ended or len(taken) == total
    while (wanted := stream.ask(now)) is not None:              # an answer is cut as it fits
        seq, count = wanted
        assert seq == stream.expected and count <= stream.missing()
        assert str(seq) not in [message for _, message in taken]
        stream.take(seq, text(seq, min(count, rng.randint(1, 6))))
        taken += stream.due()
        now += 0.1
    assert taken == list(enumerate(text(first, total), first))
    assert stream.ended and stream.missing() == 0 and not stream.kept


def test_missing_counts_what_never_came_and_overlaps_once():
    stream = made()
    for seq, count in ((4, 4), (6, 4), (15, 1)):
        assert stream.take(seq, text(seq, count))
    stream.tell(20)
    # 1 2 3, then 10 to 14, then 16 to 19
    assert (stream.missing(), list(stream.due())) == (3 + 5 + 4, [])
    assert stream.counts == {"gaps": 1, "duplicates": 0, "overflow": 0}


def test_copies_and_old_datagrams_are_duplicates():
    stream = made()
    assert stream.take(1, text(1, 3)) and len(list(stream.due())) == 3
    assert not stream.take(1, text(1, 3)) and not stream.take(3, text(3, 1))
    assert stream.take(6, text(6, 2)) and not stream.take(6, text(6, 1))
    assert stream.take(6, text(6, 3)), "a longer one is news"
    assert stream.counts["duplicates"] == 3


def test_asks_at_once_then_as_answers_come_then_patiently():
    stream = made(retry_s=1.0, progress_s=0.1)
    assert stream.ask(50.0) is None and stream.asks_in(50.0) == float("inf")
    stream.take(10, text(10, 1))
    assert stream.ask(50.0) == (1, 9)
    assert stream.ask(50.9) is None and stream.asks_in(50.9) == pytest.approx(0.1)
    assert stream.ask(51.0) == (1, 9)
    stream.take(1, text(1, 4))
    assert len(list(stream.due())) == 4
    assert stream.ask(51.05) is None, "the host is given its time between two answers"
    assert stream.ask(51.1) == (5, 5)


def test_a_request_names_at_most_what_its_field_holds():
    stream = made()
    stream.tell(1_000_000)
    assert stream.ask(0.0) == (1, inorder.REQUEST_MAX)


def test_a_path_that_takes_small_answers_only_is_found_by_halving():
    stream, taken, requests = made(), 0, 0
    stream.tell(1001)
    for now in range(500):
        if (wanted := stream.ask(float(now))) is None:
            break
        requests += 1
        if min(wanted[1], 22) <= 9:              # a host fills 22; more than 9 are lost on the way
            stream.take(wanted[0], text(*wanted))
            taken += sum(1 for _ in stream.due())
    assert taken == 1000 and stream.missing() == 0
    assert requests < 1000 // 9 * 4


def test_too_much_ahead_is_not_kept_but_asked_for_later(monkeypatch):
    monkeypatch.setattr(inorder, "KEPT_MAX", 3)
    stream = made()
    assert [stream.take(seq, text(seq, 1)) for seq in (3, 5, 7, 9)] == [True, True, True, False]
    assert (stream.counts["overflow"], stream.newest, stream.missing()) == (1, 10, 6)
    assert stream.take(1, text(1, 8)) and len(list(stream.due())) == 8
    assert stream.ask(0.0) == (9, 1)


def test_what_a_consumer_chokes_on_is_not_repeated_and_the_rest_is_a_hole():
    stream, seen = made(), []
    stream.take(1, text(1, 5))
    with pytest.raises(ZeroDivisionError):
        for number, message in stream.due():
            seen.append(message)
            if number == 2:
                raise ZeroDivisionError
    assert (seen, stream.expected, stream.ask(0.0)) == (["1", "2"], 3, (3, 3))
    stream.take(3, text(3, 3))
    assert [message for _, message in stream.due()] == ["3", "4", "5"]


def test_many_kept_datagrams_are_handed_out_without_searching():
    """65,000 datagrams wait behind one hole: found by a heap, not by looking at all each time."""
    stream, count = made(), 65_000
    for seq in range(count, 1, -1):
        stream.take(seq, ["x"])
    compared = 0

    class Number(int):
        def __lt__(self, other):
            nonlocal compared
            compared += 1
            return int(self) < other

    stream.order[:] = [Number(seq) for seq in stream.order]
    stream.take(1, ["x"])
    assert sum(1 for _ in stream.due()) == count
    assert compared < count * 40

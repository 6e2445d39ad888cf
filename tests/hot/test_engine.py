"""The matching core as a whole: what each message does, and the same bytes as the oracle."""

import hashlib
import os
import random
import struct
import subprocess
import sys

import pytest

from appliance.layout import record
from tests.hot.core_kit import (
    NOON, Kit, able, cancel, canceled, enter, kinds, mass_cancel, modify, rejected, replace,
)
from tests.oracle.venue import Venue


@pytest.fixture
def kit():
    kit = Kit()
    yield kit
    kit.check_healthy()


@pytest.mark.parametrize("state, code", [("closed", 2), ("disabled", 12), ("halted", 7)])
def test_state_of_the_venue_refuses_a_new_order(kit, state, code):
    kit.send(enter(1))
    if state == "closed":
        kit.core.book.engine[0]["phase"] = 2
    elif state == "disabled":
        kit.send(able(b"D", 2))
    else:
        kit.core.book.symbols[0]["state"] = ord("H")
    assert kit.send(enter(3, price=5)) == [rejected(3, code)]
    early = dict(side=b"?") if state != "halted" else dict(price=5)
    assert kit.send(enter(4, **early)) == [rejected(4, code)]
    if state == "halted":
        assert kit.send(enter(5, qty=0)) == [rejected(5, 0x13)]
    assert kit.send(replace(1, 6)) == [rejected(6, code)]
    assert kit.send(replace(1, 7, price=5)) == [rejected(7, code)]
    assert kit.live() == [(0, 1)]
    assert kit.send(enter(8)[:46]) == [rejected(8, 15, b" " * 14)]
    assert kinds(kit.send(cancel(1))) == b"C"


def test_stale_number_is_ignored_whatever_else_is_wrong(kit):
    kit.send(enter(10))
    for message in (enter(10), enter(9, side=b"?"), enter(10)[:46], replace(10, 10), able(b"D", 3),
                    mass_cancel(10), replace(77, 4)):
        assert kit.send(message) == []
    assert kit.count("messages_stale") == 7 and kit.session()["last_user_ref"] == 10
    assert kit.send(enter(11, qty=0)) == [rejected(11, 0x13)]
    assert kit.send(enter(11)) == [] and kit.count("messages_stale") == 8


def test_replace_chain_keeps_what_was_executed(kit):
    kit.send(enter(1, qty=500))
    kit.send(enter(1, side=b"S", qty=100), account=1)
    kit.out()
    replaced, = kit.send(replace(1, 2, qty=500, price=1633300))
    assert struct.unpack(">I", replaced[18:22])[0] == 400
    kit.send(enter(2, side=b"S", qty=150, price=1633300), account=1)
    kit.drain()
    replaced, = kit.send(replace(2, 3, qty=260, price=1633300))
    assert struct.unpack(">I", replaced[18:22])[0] == 10
    assert kit.send(replace(2, 4)) == [] and kit.count("cancels_ignored") == 1
    assert kit.session()["last_user_ref"] == 3
    assert kit.send(replace(3, 4, qty=250)) == [canceled(3, 10)]
    assert kit.session()["last_user_ref"] == 3 and kit.live() == []


@pytest.mark.parametrize("changes", [
    dict(qty=0), dict(qty=1_000_000), dict(price=0), dict(price=1633401), dict(tif=b"9"),
    dict(price=0x7FFFFFFF), dict(display=b"Z"), dict(sweep=b"Y"), dict(tif=b"6"),
    dict(options=[(30, b"AB")]), dict(options=[(3, b"\0\0\0\1")]),
    dict(tif=b"3", options=[(12, b"P")])])
def test_replace_with_impossible_details_cancels(kit, changes):
    kit.send(enter(1))
    kit.feed()
    assert kit.send(replace(1, 2, **changes)) == [canceled(1, 100)]
    assert kinds(kit.feed()) == b"D" and kit.session()["last_user_ref"] == 1


def test_replace_on_the_feed_is_one_message_or_a_delete_first(kit):
    kit.send(enter(1, side=b"S", price=1633900), account=1)
    kit.send(enter(1))
    kit.drain()
    kit.send(replace(1, 2, price=1633300))
    assert kinds(kit.feed()) == b"U"
    kit.send(replace(2, 3, price=1633900, qty=150))
    assert kinds(kit.feed()) == b"DEA"
    assert kinds(kit.send(replace(3, 4, qty=150, price=1633000, tif=b"3"))) == b"UC"
    assert kinds(kit.feed()) == b"D"


def test_cancel_down_counts_executed_shares(kit):
    kit.send(enter(1, qty=100))
    kit.send(enter(1, side=b"S", qty=40), account=1)
    kit.drain()
    assert kit.send(cancel(1, 100)) == [] == kit.send(cancel(1, 101))
    assert kit.send(cancel(1, 70)) == [canceled(1, 30)]
    assert kinds(kit.feed()) == b"X"
    assert kit.send(cancel(1, 70)) == [] and kit.count("cancels_ignored") == 3
    assert kit.send(cancel(1, 40)) == [canceled(1, 30)]
    assert kinds(kit.feed()) == b"D" and kit.live() == []
    assert kit.send(cancel(1)) == [] == kit.send(cancel(2)) == kit.send(cancel(1 << 31))


def test_mass_cancel_means_only_what_its_filters_say(kit):
    kit.send(enter(1, options=[(24, b"\0\5")]))
    kit.send(enter(2, side=b"T", price=1700000))
    kit.send(enter(3, symbol=b"OTHER   ", options=[(24, b"\0\5")]))
    kit.send(enter(300, price=1600000))
    kit.send(enter(1, price=1600000), account=1)
    kit.drain()
    assert kinds(kit.send(mass_cancel(301, options=[(24, b"\0\0")]))) == b"X"
    assert kit.send(mass_cancel(302, options=[(27, b"T")]))[1:] == [canceled(2, 100)]
    assert kit.send(mass_cancel(303, symbol=b"OTHER   ", options=[(24, b"\0\5")]))[1:] == [
        canceled(3, 100)]
    assert kit.send(mass_cancel(304))[1:] == [canceled(1, 100), canceled(300, 100)]
    assert kit.live() == [(1, 1)] and kit.session()["last_user_ref"] == 304
    assert kit.send(mass_cancel(305, firm=b"ELSE")) == [rejected(305, 0xC, b" " * 14)]


def soup(dice, count):
    """Random messages that mostly make sense, for few numbers and prices: (account, bytes)."""
    last, messages = [0, 0, 0], []
    for _ in range(count):
        account = dice.randrange(3)
        known = max(1, last[account])
        old = dice.randint(max(1, known - 40), known)
        options = [option for chance, option in (
            (0.1, (2, dice.choice((b"ABCD", b"    ")))), (0.1, (12, dice.choice((b"P", b"N")))),
            (0.1, (3, struct.pack(">I", dice.choice((0, 20, 90))))), (0.1, (24, b"\0\1")),
            (0.3, (29, dice.choice((b"O", b"w", b"N", b"*", b"D")))), (0.05, (4, b"R")),
            (0.02, (28, b"\1"))) if dice.random() < chance]
        dice.shuffle(options)
        terms = dict(qty=dice.choice((1, 10, 50, 99, 100, 300, 0)), options=options,
                     price=dice.choice((1633400 + 100 * dice.randrange(-6, 7), 0x7FFFFFFF, 1633450,
                                        500, 199000000)),
                     tif=dice.choice((b"0", b"0", b"0", b"3")), display=dice.choice((b"Y", b"A")))
        new = known + dice.choice((1, 1, 1, 2, 300, 0))
        kind = dice.random()
        if kind < 0.5:
            message = enter(new, side=dice.choice((b"B", b"S", b"T", b"E")),
                            symbol=dice.choice((b"EXAMPLE ", b"OTHER   ")), **terms)
        elif kind < 0.65:
            message = replace(old, new, **terms)
        elif kind < 0.8:
            message = cancel(old, dice.choice((0, 5, 40, 60, 99)))
        elif kind < 0.95:
            message = modify(old, dice.choice((b"B", b"S", b"T", b"E")),
                             dice.choice((0, 5, 60, 99, 150, 1_000_000)))
        elif kind < 0.97:
            message = mass_cancel(new, symbol=dice.choice((b" " * 8, b"OTHER   ")),
                                  options=dice.choice(([], [(27, b"T")], [(24, b"\0\1")])))
        elif kind < 0.98:
            message = able(dice.choice((b"D", b"E", b"E", b"E")), new)
        else:
            message = bytearray(enter(new, **terms))
            message[dice.randrange(len(message))] = dice.randrange(256)
        last[account] = max(last[account], new if message[:1] in (b"O", b"U") else known)
        messages.append((account, bytes(message)))
    return messages


@pytest.mark.parametrize("seed", range(6))
def test_core_says_what_the_oracle_says(seed):
    kit, now = Kit(is_open=False, chunks=512, pages=4096, page_quota=1300, feed_bytes=1 << 22), NOON
    for account, smp in enumerate((record.SMP_OFF, record.SMP_OLDEST, record.SMP_NEWEST)):
        kit.session(account)["smp_default"] = smp
    venue = Venue(1, [dict(name="EXAMPLE", tick_size=100, lot_size=100, locate=7),
                      dict(name="OTHER", tick_size=1, lot_size=100, locate=8)],
                  [dict(name="a", firm="MMK1", smp="off"),
                   dict(name="b", firm="MMK2", smp="oldest"),
                   dict(name="c", firm="MMK3", smp="newest")])
    kit.now = now
    kit.command(record.DAY_START)
    venue.start(now)
    for turn, (account, message) in enumerate(soup(random.Random(seed), 3000)):
        now += 1000
        kit.now = now
        told, before = [len(stream) for stream in venue.streams], len(venue.feed)
        venue.message(account, message, now)
        kit.take(message, account)
        if turn == 0:
            told, before = [0, 0, 0], 0
        for each in range(3):
            assert kit.out(each) == venue.streams[each][told[each]:], (turn, message)
        assert kit.feed() == venue.feed[before:], (turn, message)
    kit.now = now
    kit.command(record.DAY_END)
    told, before = [len(stream) for stream in venue.streams], len(venue.feed)
    venue.end(now)
    for each in range(3):
        assert kit.out(each) == venue.streams[each][told[each]:]
    assert kit.feed() == venue.feed[before:] and kit.live() == []
    for name in ("orders", "trades", "rejects", "messages_stale", "cancels_ignored",
                 "messages_short", "messages_unknown"):
        assert kit.count(name) == venue.counters[name], name
    kit.check_counts()


def digest_of_soup(count):
    """Everything a run of the soup leaves behind, as text."""
    kit = Kit()
    for account, message in soup(random.Random(99), count):
        kit.now += 7
        kit.send(message, account)
    kit.command(record.DAY_END)
    core = kit.core
    parts = (core.streams.data, core.feed.ring, core.journal.ring, core.counters, core.book.orders,
             core.accounts.sessions, core.accounts.pages, core.accounts.page_hash)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_plain_python_leaves_the_same_bytes_behind():
    script = "from tests.hot.test_engine import digest_of_soup as d; print(d(400))"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": "."}
    plain = subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=environment,
                           capture_output=True, text=True)
    assert plain.returncode == 0, plain.stderr[-3000:]
    assert plain.stdout.strip() == digest_of_soup(400)

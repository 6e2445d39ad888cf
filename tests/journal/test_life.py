"""The life of every order as exported, read back by DuckDB and compared with the oracle's day."""

from collections import Counter
from dataclasses import asdict

import duckdb
import pytest

from appliance.hot import state
from appliance.journal.genesis import build_core
from appliance.journal.replay import from_ring
from appliance.journal.writer import Writer
from tests.hot.test_everything_against_oracle import ACCOUNTS, SYMBOLS, Day
from tests.hot.test_replay import played
from tests.journal.test_play import wirematch, write
from tests.oracle.everything import apply, everything
from tests.oracle.venue import Venue

EVENTS = {b"A": "accept", b"U": "replace", b"C": "cancel", b"D": "self-match", b"E": "execution",
          b"B": "bust", b"J": "reject", b"I": "cancel reject", b"T": "priority", b"M": "modify",
          b"R": "restate", b"Q": "query", b"X": "mass cancel", b"G": "entry disabled",
          b"K": "entry enabled", b"P": "cancel pending"}
DAY = 20_000 * 86_400 * 10**9                  # 2024-10-04
READINGS = ((DAY + 1_500_000_000, 7, "synchronised", -250, 1_000, 90, 37),
            (DAY + 2_500_000_000, 8, "not synchronised", 0, 16_000_000_000, 5, 0))


def genesis():
    sizes = state.Sizes(symbols=len(SYMBOLS), accounts=len(ACCOUNTS), pages=1024, lg_ladder=12,
                        far_cap=256, far_levels=1024, chunks=512, feed_bytes=1 << 22,
                        feed_messages=1 << 16, journal=1 << 14)
    return {"partition": 1, "date": 20241004, "midnight_ns": DAY, "feed_session": "FEED",
            "sizes": asdict(sizes),
            "symbols": [{**each, "locate": 1001 + idx, "collar": each.get("collar", 0)}
                        for idx, each in enumerate(SYMBOLS)],
            "accounts": [{**each, "max_pages": 1024, "session": f"S{idx}",
                          "cancel_on_disconnect": False} for idx, each in enumerate(ACCOUNTS)]}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(the oracle's venue at the day's end, {"csv": path, "parquet": path}) of one day."""
    folder, venue = tmp_path_factory.mktemp("life"), Venue(1, SYMBOLS, ACCOUNTS)
    day = Day.__new__(Day)
    day.core = build_core(genesis())
    for action in everything(5, SYMBOLS, ACCOUNTS, 3_000, is_live=venue.is_live,
                             last_match=lambda: venue.book.last_match):
        apply(venue, action)
        day.act(action)
    with Writer(folder / "journal", genesis(), 0, segment_sz=256 << 10) as writer:
        for first in range(0, len(from_ring(day.core)), 500):
            writer.append(from_ring(day.core)[first:first + 500])
        writer.sync()
    lines = [",".join(map(str, each)) for each in READINGS]
    (folder / "journal" / "clock.csv").write_text(
        "wall_ns,monotonic_ns,state,offset_ns,error_ns,estimated_ns,tai_s\n"
        + lines[0] + "\n1,2,sync\n" + lines[1] + "\n17280000", encoding="ascii")
    paths = {kind: str(folder / f"life.{kind}") for kind in ("csv", "parquet")}
    wirematch("export", folder / "journal", "--csv", paths["csv"], "--parquet", paths["parquet"])
    return venue, paths


def ask(path, query):
    return duckdb.sql(query.format(f"'{path}'")).fetchall()


def told(venue, letter):
    """(account, number in its stream, message) of the oracle's messages of one type."""
    return [(f"ACC{account}", number, message)
            for account, stream in enumerate(venue.streams)
            for number, message in enumerate(stream, 1) if message[:1] == letter]


def number(message, first, size):
    return int.from_bytes(message[first:first + size], "big")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_every_message_to_an_account_is_one_row(exported, kind):
    venue, paths = exported
    wanted = Counter((f"ACC{account}", EVENTS[message[:1]])
                     for account, stream in enumerate(venue.streams)
                     for message in stream if message[:1] != b"S")
    found = ask(paths[kind], "SELECT account, event, count(*) FROM {} WHERE stream_seq IS NOT NULL "
                             "GROUP BY ALL")
    assert {(account, event): count for account, event, count in found} == wanted
    assert {event for _, event in wanted} >= {"accept", "replace", "execution", "cancel", "reject",
                                              "bust", "modify", "self-match", "restate"}


def test_executions_are_the_oracles_to_the_row(exported):
    venue, paths = exported
    wanted = [(account, seq, number(message, 1, 8) + DAY, number(message, 9, 4),
               number(message, 13, 4), number(message, 17, 8), chr(message[25]),
               number(message, 26, 8)) for account, seq, message in told(venue, b"E")]
    found = ask(paths["parquet"], "SELECT account, stream_seq, utc_ns, user_ref_num, quantity, "
                "price, liquidity, match_number FROM {} WHERE event = 'execution' "
                "ORDER BY account, stream_seq")
    assert found == wanted and len(found) > 1_000
    assert ask(paths["parquet"], "SELECT count(*), count(DISTINCT match_number) FROM {} WHERE "
               "event = 'execution'") == [(2 * venue.counters["trades"], venue.counters["trades"])]


def test_the_counterparty_is_the_other_side_of_the_match(exported):
    _, paths = exported
    pairs = ask(paths["parquet"], """
        SELECT count(*), count(*) FILTER (one.contra_account = other.account
            AND one.contra_side = other.side AND one.contra_liquidity = other.liquidity
            AND one.contra_order_ref = other.order_ref AND one.quantity = other.quantity
            AND one.price = other.price AND one.seq = other.seq AND one.symbol = other.symbol
            AND (one.side = 'B') <> (other.side = 'B'))
        FROM {0} one JOIN {0} other USING (match_number)
        WHERE one.event = 'execution' AND other.event = 'execution'
            AND (one.account, one.stream_seq) <> (other.account, other.stream_seq)""")
    rows = ask(paths["parquet"], "SELECT count(*) FROM {} WHERE event = 'execution'")[0][0]
    assert pairs == [(rows, rows)]


def test_cancels_and_rejects_are_the_oracles_to_the_row(exported):
    venue, paths = exported
    assert ask(paths["parquet"], "SELECT account, stream_seq, user_ref_num, quantity, reason "
               "FROM {} WHERE event = 'cancel' ORDER BY account, stream_seq") == [
        (account, seq, number(message, 9, 4), number(message, 13, 4), chr(message[17]))
        for account, seq, message in told(venue, b"C")]
    assert ask(paths["parquet"], "SELECT account, stream_seq, user_ref_num, reason, clordid "
               "FROM {} WHERE event = 'reject' ORDER BY account, stream_seq") == [
        (account, seq, number(message, 9, 4), f"{number(message, 13, 2):04X}",
         message[15:29].decode().rstrip()) for account, seq, message in told(venue, b"J")]
    assert ask(paths["parquet"], "SELECT count(*) FROM {} WHERE event IN ('cancel', 'reject') AND "
               "meaning IS NULL") == [(0,)]


def test_every_order_adds_up_and_ends_with_nothing_left(exported):
    """Accepted or replaced shares are traded, cancelled, prevented, reduced or still open."""
    _, paths = exported
    assert ask(paths["parquet"], """
        SELECT count(*) FROM (
            SELECT *, lag("left") OVER life AS before, lag(event) OVER life AS earlier
            FROM {} WHERE order_ref IS NOT NULL AND event <> 'bust'
            WINDOW life AS (PARTITION BY account, user_ref_num ORDER BY stream_seq))
        WHERE "left" < 0 OR earlier IS NOT NULL AND (event IN ('accept', 'replace')
            OR event IN ('execution', 'cancel', 'self-match') AND before <> "left" + quantity
            OR event IN ('priority', 'restate') AND before <> "left")""") == [(0,)]
    assert ask(paths["parquet"], """
        WITH ends AS (SELECT account, user_ref_num, arg_max("left", stream_seq) AS still FROM {0}
                      WHERE order_ref IS NOT NULL AND event <> 'bust' GROUP BY ALL)
        SELECT count(*) FROM ends WHERE still <> 0 AND NOT EXISTS (
            SELECT 1 FROM {0} r WHERE r.event = 'replace' AND r.account = ends.account
            AND r.orig_user_ref_num = ends.user_ref_num)""") == [(0,)]


def test_busts_name_the_execution_that_they_break(exported):
    venue, paths = exported
    assert ask(paths["parquet"], """
        SELECT b.account, b.stream_seq, b.match_number, b.reason FROM {0} b JOIN {0} e
        ON e.event = 'execution' AND e.account = b.account AND e.match_number = b.match_number
        AND e.user_ref_num = b.user_ref_num AND e.quantity = b.quantity AND e.price = b.price
        AND e.symbol = b.symbol AND e.contra_account = b.contra_account
        WHERE b.event = 'bust' ORDER BY b.account, b.stream_seq""") == [
        (account, seq, number(message, 13, 8), chr(message[21]))
        for account, seq, message in told(venue, b"B")]


def test_phases_states_and_crosses_are_the_feeds(exported):
    venue, paths = exported
    states = [(message[11:19].decode().rstrip(), chr(message[19]),
               message[21:25].decode().rstrip() or None)
              for message in venue.feed if message[:1] == b"H"]
    assert ask(paths["parquet"], "SELECT symbol, state, reason FROM {} WHERE event = 'state'") \
        == states
    assert ask(paths["parquet"], "SELECT reason FROM {} WHERE event = 'phase'") == [
        (chr(message[11]),) for message in venue.feed if message[:1] == b"S"]
    assert ask(paths["parquet"], "SELECT symbol, quantity, price, match_number FROM {} "
               "WHERE event = 'cross'") == [
        (message[19:27].decode().rstrip(), number(message, 11, 8), number(message, 27, 4),
         number(message, 31, 8)) for message in venue.feed if message[:1] == b"Q"]


def test_time_is_utc_and_the_clocks_state_is_what_was_recorded(exported):
    _, paths = exported
    assert ask(paths["parquet"], "SELECT count(*) FROM {} WHERE utc <> strftime(make_timestamp("
               "utc_ns // 1000), '%Y-%m-%dT%H:%M:%S.%f') || lpad((utc_ns % 1000)::VARCHAR, 3, '0')"
               " || 'Z' OR utc_ns // 86400000000000 <> 20000") == [(0,)]
    (first, *_), (second, *_) = READINGS
    for condition, wanted in ((f"utc_ns < {first}", ("unknown", None, None)),
                              (f"utc_ns BETWEEN {first} AND {second - 1}",
                               ("synchronised", -250, 1_000)),
                              (f"utc_ns BETWEEN {second} AND {second + 180 * 10**9}",
                               ("not synchronised", 0, 16_000_000_000)),
                              (f"utc_ns > {second + 180 * 10**9}", ("unknown", None, None))):
        found = ask(paths["parquet"], "SELECT DISTINCT clock, clock_offset_ns, clock_error_ns "
                    "FROM {} WHERE " + condition)
        assert found in ([wanted], []), condition
        assert found or condition.startswith("utc_ns > "), condition


def test_sessions_have_rows(tmp_path):
    day = played(24, 1_500)
    folder, path = write(tmp_path / "journal", day), tmp_path / "life.csv"
    assert " events\n" in wirematch("export", folder, "--csv", path)
    kinds = Counter(day.records()["command"][:, 0].tolist())
    found = dict(ask(path, "SELECT event, count(*) FROM {} WHERE event IN ('login', 'logout', "
                           "'disconnect', 'skip', 'grace over') AND account IS NOT NULL GROUP BY "
                           "event"))
    assert found == {name: kinds[kind] for name, kind in (
        ("login", 16), ("logout", 17), ("disconnect", 18), ("skip", 19), ("grace over", 36))
        if kinds[kind]}
    assert found["login"] and found["logout"] and found["disconnect"]

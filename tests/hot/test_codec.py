"""OUCH in: every check of a message, in the order that decides; nothing is read outside it."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from appliance.hot import codec
from appliance.layout import record
from tests.hot.core_kit import (
    CLORDID, Kit, able, cancel, enter, mass_cancel, modify, rejected, replace, tags,
)

O01 = bytes.fromhex("4F0000000142000000C84558414D504C4520000000000018EC783059504E4E434C4F52442D3030"
                    "303120202020" "0000")
O02 = bytes.fromhex("4F00000002530000012C4558414D504C4520000000000018ECDC3359504E4E434C4F52442D3030"
                    "3031202020" "20000C05024D4D4B31050300000064")
O03 = bytes.fromhex("55000000010000000300000096000000000018EC1430594E434C4F52442D30303031202020"
                    "200000")
O08 = bytes.fromhex("43000000044D4D4B314558414D504C45200000")
SPACES = b" " * 14


@pytest.fixture(scope="module")
def kit():
    return Kit()


def decoded(kit, message, account=0):
    frames = np.frombuffer(b"\xff" * 3 + message + b"\xff" * 3, np.uint8).copy()
    codec.decode(kit.core, frames, 3, len(message), account, 9)
    return kit.core.burst.commands[9], kit.core.burst.details[9]


def test_enter_vector_becomes_a_command(kit):
    command, detail = decoded(kit, O01)
    assert (command["kind"], command["side"], command["qty"]) == (record.ENTER, 0, 200)
    assert (command["price_ticks"], command["tif"], command["symbol"]) == (16334, 0, 0)
    assert detail["user_ref_num"] == 1 and detail["clordid"].tobytes() == CLORDID
    assert detail["reject"] == 0 and detail["present"] == 0


def test_enter_vector_with_firm_and_minimum_quantity(kit):
    command, detail = decoded(kit, O02)
    assert (command["side"], command["tif"], command["min_qty"]) == (1, 3, 100)
    assert detail["present"] == record.TAG_FIRM | record.TAG_MIN_QTY
    assert detail["firm"].tobytes() == b"MMK1" and detail["reject"] == 0


def test_replace_vector_keeps_the_price_in_units(kit):
    command, detail = decoded(kit, O03)
    assert (command["kind"], command["qty"]) == (record.REPLACE, 150)
    assert command["price_ticks"] == 1633300
    assert (detail["orig_user_ref_num"], detail["user_ref_num"]) == (1, 3)


@pytest.mark.parametrize("message, kind, number, qty", [
    (bytes.fromhex("580000000300000000"), record.CANCEL, 3, 0),
    (bytes.fromhex("5800000003000000320000"), record.CANCEL, 3, 50),
    (bytes.fromhex("4D00000002540000012C"), record.MODIFY, 2, 300),
    (b"Q", record.QUERY, 0, 0), (b"Q\0\0", record.QUERY, 0, 0), (O08, record.MASS_CANCEL, 4, 0),
    (bytes.fromhex("44000000054D4D4B310000"), record.DISABLE, 5, 0),
    (bytes.fromhex("45000000064D4D4B310000"), record.ENABLE, 6, 0),
])
def test_vector_of_a_short_message(kit, message, kind, number, qty):
    command, detail = decoded(kit, message)
    assert (command["kind"], detail["user_ref_num"], command["qty"]) == (kind, number, qty)


@pytest.mark.parametrize("code, changes", [
    (0x0009, dict(side=b"X")), (0x0013, dict(qty=0)), (0x0013, dict(qty=1_000_000)),
    (0x0017, dict(symbol=b"NOSUCH  ")), (0x0017, dict(symbol=bytes(8))),
    (0x001D, dict(price=0)), (0x001D, dict(price=1633401)), (0x001D, dict(price=1999999901)),
    (0x001D, dict(price=1 << 63)), (0x001D, dict(price=0x7FFFFFFF)),
    (0x001D, dict(price=2000000000)), (0x001D, dict(price=2000000000, display=b"N")),
    (0x000F, dict(tif=b"5")), (0x000F, dict(tif=b"E")), (0x0003, dict(display=b"Z")),
    (0x000F, dict(capacity=b"Z")), (0x0008, dict(sweep=b"Y")), (0x000F, dict(sweep=b"?")),
    (0x0014, dict(cross=b"S")), (0x0014, dict(cross=b"A")), (0x0014, dict(cross=b"?")),
    (0x000F, dict(options=[(2, b"ABC")])), (0x000F, dict(options=[(5, b"\0\0\1")])),
    (0x0011, dict(options=[(6, b"P")])), (0x000F, dict(options=[(6, b"LL")])),
    (0x0011, dict(options=[(7, b"\0\0\0\1")])), (0x0024, dict(options=[(9, bytes(8))])),
    (0x0024, dict(options=[(10, b"L")])), (0x0024, dict(options=[(11, bytes(4))])),
    (0x0004, dict(options=[(13, bytes(4))])), (0x0016, dict(options=[(14, b"ABCD")])),
    (0x000F, dict(options=[(15, bytes(3))])), (0x000F, dict(options=[(16, b"Y")])),
    (0x000F, dict(options=[(17, b"I")])), (0x000F, dict(options=[(18, b"0")])),
    (0x000F, dict(options=[(26, b"ABCD")])), (0x000F, dict(options=[(27, b"B")])),
    (0x000F, dict(options=[(28, b"\1")])), (0x0040, dict(options=[(29, b"X")])),
    (0x0040, dict(options=[(30, b"AB")])), (0x000F, dict(options=[(200, b"")])),
    (0x000F, dict(options=[(4, b"X")])), (0x000F, dict(options=[(12, b"Y")])),
    (0x000F, dict(options=[(25, b"P")])),
    (0x000D, dict(options=[(3, b"\0\0\0\1")])),
    (0x000D, dict(tif=b"3", qty=10, options=[(3, b"\0\0\0\x0b")])),
    (0x000F, dict(tif=b"3", options=[(12, b"P")])),
])
def test_enter_is_refused_with(kit, code, changes):
    command, detail = decoded(kit, enter(70, **changes))
    assert command["kind"] == record.ENTER and detail["reject"] == code


MARKET, FLOOR, LIFE = 2000000000, (5, b"\0\0\0\x0a"), (15, b"\0\0\0\1")
LEAST, POST = (3, b"\0\0\0\x0a"), (12, b"P")


@pytest.mark.parametrize("code, changes", [
    (0x001D, dict(price=MARKET, tif=b"6", options=[LIFE])), (0x001D, dict(price=MARKET)),
    (0x0014, dict(cross=b"O", tif=b"6", options=[LIFE])),
    (0x0014, dict(cross=b"C", tif=b"6", price=MARKET, options=[LIFE])),
    (0x000F, dict(tif=b"6")), (0x000F, dict(tif=b"6", options=[(15, bytes(4))])),
    (0x000F, dict(tif=b"6", options=[(15, b"\0\1\x51\x80")])),
    (0x000F, dict(options=[LIFE])), (0x000F, dict(options=[(15, bytes(4))])),
    (0x000F, dict(tif=b"3", options=[(15, bytes(4))])),
    (0x000D, dict(options=[LEAST])), (0x000D, dict(display=b"A", options=[LEAST])),
    (0x000D, dict(display=b"N", qty=9, options=[LEAST])),
    (0x000D, dict(tif=b"6", options=[LEAST, LIFE])),
    (0x000D, dict(cross=b"H", tif=b"3", options=[LEAST])),
    (0x000D, dict(cross=b"H", display=b"N", options=[LEAST])),
    (0x0004, dict(display=b"N", options=[FLOOR])), (0x0004, dict(tif=b"3", options=[FLOOR])),
    (0x0004, dict(cross=b"O", options=[FLOOR])),
    (0x000F, dict(tif=b"3", options=[POST])), (0x000F, dict(cross=b"C", options=[POST])),
    # the order among them: minimum, floor, post-only, expiry; after every tag's own fault
    (0x000D, dict(cross=b"O", options=[LEAST, FLOOR, POST, LIFE])),
    (0x0004, dict(cross=b"O", options=[FLOOR, POST, LIFE])),
    (0x000F, dict(cross=b"O", options=[POST, LIFE])),
    (0x0040, dict(cross=b"O", options=[LEAST, FLOOR, (29, b"?")])),
])
def test_what_does_not_go_together_is_refused_with(kit, code, changes):
    command, detail = decoded(kit, enter(70, **changes))
    assert command["kind"] == record.ENTER and detail["reject"] == code


@pytest.mark.parametrize("changes, wanted", [
    (dict(display=b"N"), dict(flags=record.HIDDEN)),
    (dict(display=b"N", options=[LEAST]), dict(flags=record.HIDDEN, min_qty=10)),
    (dict(tif=b"3", display=b"N", options=[LEAST]), dict(flags=record.HIDDEN, min_qty=10, tif=3)),
    (dict(options=[FLOOR]), dict(flags=0, min_qty=0)),
    (dict(options=[(5, bytes(4)), (3, bytes(4))], tif=b"3"), dict(tif=3, min_qty=0)),
    (dict(tif=b"6", options=[(15, b"\0\1\x51\x7f")]), dict(tif=6, flags=0)),
    (dict(tif=b"6", display=b"N", options=[POST, LIFE]),
     dict(tif=6, flags=record.HIDDEN | record.POST_ONLY)),
    (dict(cross=b"O"), dict(flags=record.AUCTION)),
    (dict(cross=b"H", display=b"N", tif=b"3"), dict(flags=record.AUCTION, tif=3)),
    (dict(cross=b"C", price=MARKET),
     dict(flags=record.AUCTION | record.ON_CLOSE | record.MARKET, price_ticks=2147483647)),
    (dict(cross=b"O", side=b"S", price=MARKET, tif=b"3"),
     dict(flags=record.AUCTION | record.MARKET, price_ticks=0)),
    (dict(options=[(29, b"D")]), dict(smp=record.SMP_DECREMENT)),
    (dict(options=[(29, b"d")]), dict(smp=record.SMP_DECREMENT)),
    (dict(options=[(29, b"Y")]), dict(smp=record.SMP_DECREMENT)),
    (dict(options=[(29, b"y")]), dict(smp=record.SMP_DECREMENT)),
])
def test_every_order_type_becomes_a_command(kit, changes, wanted):
    command, detail = decoded(kit, enter(70, **changes))
    assert detail["reject"] == 0
    assert {name: int(command[name]) for name in wanted} == wanted


def test_floor_and_time_to_live_go_into_the_detail(kit):
    detail = decoded(kit, enter(1, tif=b"6", options=[(15, b"\0\0\1\2"), (5, b"\0\0\3\4")]))[1]
    assert (detail["expire_s"], detail["max_floor"]) == (258, 772)
    assert detail["present"] == record.TAG_MAX_FLOOR and detail["tif_letter"] == ord("6")


@pytest.mark.parametrize("code, changes", [
    (0, dict(display=b"N")), (0, dict(tif=b"6", options=[LIFE])), (0, dict(options=[FLOOR])),
    (0, dict(display=b"N", options=[LEAST])), (0, dict(price=MARKET, tif=b"3")),
    (0x001D, dict(price=MARKET)), (0x001D, dict(price=MARKET, tif=b"6", options=[LIFE])),
    (0x000F, dict(tif=b"6")), (0x000F, dict(options=[LIFE])), (0x000D, dict(options=[LEAST])),
    (0x0004, dict(display=b"N", options=[FLOOR])),
])
def test_replace_is_checked_like_an_order(kit, code, changes):
    command, detail = decoded(kit, replace(1, 2, **changes))
    assert command["kind"] == record.REPLACE and detail["reject"] == code


ENTER_FAULTS = [(0x0009, dict(side=b"?")), (0x0013, dict(qty=0)),
                (0x0017, dict(symbol=b"?       ")),
                (0x001D, dict(price=5)), (0x000F, dict(tif=b"9")), (0x0003, dict(display=b"?")),
                (0x000F, dict(capacity=b"?")), (0x0008, dict(sweep=b"Y")),
                (0x0014, dict(cross=b"?")),
                (0x0040, dict(options=[(30, b"AB"), (5, bytes(4))]))]


@pytest.mark.parametrize("first", range(len(ENTER_FAULTS)))
def test_first_wrong_field_decides_the_code(kit, first):
    changes = {}
    for _, fault in ENTER_FAULTS[first:]:
        changes |= fault
    assert decoded(kit, enter(71, **changes))[1]["reject"] == ENTER_FAULTS[first][0]


def test_market_order_is_known_by_two_prices(kit):
    for price in (2000000000, 0x7FFFFFFF):
        for side, ticks in ((b"B", 2147483647), (b"S", 0)):
            command, detail = decoded(kit, enter(1, side=side, price=price, tif=b"3"))
            assert (detail["reject"], command["flags"]) == (0, record.MARKET)
            assert command["price_ticks"] == ticks


def test_all_accepted_tags_are_taken(kit):
    options = [(29, b"w"), (25, b"Y"), (24, b"\1\2"), (12, b"N"), (4, b"R"), (2, b"ABCD"),
               (28, b"\0"), (6, b"L"), (16, b"N"), (17, b" "), (3, bytes(4)), (5, bytes(4))]
    command, detail = decoded(kit, enter(1, options=options))
    assert detail["reject"] == 0 and detail["present"] == 255
    assert (detail["group"], detail["customer"], detail["located"]) == (258, ord("R"), ord("Y"))
    assert (command["smp"], detail["aiq"], command["flags"]) == (record.SMP_NEWEST, ord("w"), 0)


def test_account_default_stands_in_for_a_missing_strategy(kit):
    kit.session(2)["smp_default"] = record.SMP_OLDEST
    assert decoded(kit, enter(1), 2)[0]["smp"] == record.SMP_OLDEST
    assert decoded(kit, enter(1, options=[(29, b"*")]), 2)[0]["smp"] == record.SMP_OLDEST
    assert decoded(kit, enter(1, options=[(29, b"N")]), 2)[0]["smp"] == record.SMP_OFF


WHOLE = enter(5)
BAD_APPENDAGES = [b"\0\1", b"\0\2\0\2", b"\0\3\2\4", b"\0\2\3\4", b"\0\4\1\4\1\4", b"\0\0\0",
                  b"\0\4\1\xfe\1\xfe", b"\0\6\1\xfe\1\x44\1\xfe"]


@pytest.mark.parametrize("end", BAD_APPENDAGES)
def test_broken_appendage_is_answered_with_the_clordid(kit, end):
    for message in (WHOLE[:45] + end, replace(4, 5)[:38] + end):
        command, detail = decoded(kit, message)
        assert (command["kind"], detail["reject"], detail["user_ref_num"]) == (record.REJECT, 15, 5)
        assert detail["clordid"].tobytes() == CLORDID


@pytest.mark.parametrize("message", [WHOLE[:46], WHOLE[:5], replace(4, 5)[:39], replace(4, 5)[:9],
                                     mass_cancel(5)[:18], mass_cancel(5) + b"\0", able(b"D", 5)[:5],
                                     able(b"E", 5) + b"\0\0"])
def test_incomplete_message_is_answered_without_clordid(kit, message):
    command, detail = decoded(kit, message)
    assert (command["kind"], detail["reject"], detail["user_ref_num"]) == (record.REJECT, 15, 5)
    assert detail["clordid"].tobytes() == SPACES


@pytest.mark.parametrize("message", [b"", WHOLE[:4], replace(4, 5)[:8], mass_cancel(5)[:4], b"D\0",
                                     b"E", cancel(1)[:8], cancel(1) + b"\0", cancel(1) + b"\0\1",
                                     modify(1) + b"\0", modify(1)[:9], b"Q\0", b"Q\0\0\0"])
def test_unreadable_message_is_counted_short(kit, message):
    before = kit.count("messages_short")
    assert decoded(kit, message)[0]["kind"] == record.IGNORE
    assert kit.count("messages_short") == before + 1


def test_unknown_type_is_counted_unknown(kit):
    before = kit.count("messages_unknown"), kit.count("messages_short")
    for letter in b"ABFGIJKLNPRSTVWYZoux\0\xff":
        assert decoded(kit, bytes([letter]) * 47)[0]["kind"] == record.IGNORE
    assert kit.count("messages_unknown") == before[0] + 22
    assert kit.count("messages_short") == before[1]


@pytest.mark.parametrize("code, message", [
    (0x000C, mass_cancel(9, firm=b"ELSE")), (0x0017, mass_cancel(9, symbol=b"NOSUCH  ")),
    (0x000C, mass_cancel(9, firm=b"ELSE", symbol=b"NOSUCH  ")),
    (0x000F, mass_cancel(9, options=[(2, b"ABCD")])),
    (0x000F, mass_cancel(9, options=[(28, b"\1")])),
    (0x000F, mass_cancel(9, options=[(24, b"\1")])), (0x000F, mass_cancel(9, options=[(27, b"Q")])),
    (0x000C, able(b"D", 9, firm=b"ELSE")), (0x000F, able(b"E", 9, options=[(24, b"\0\1")])),
    (0, mass_cancel(9, firm=b"MMK1", symbol=b"OTHER   ", options=[(24, b"\0\1"), (27, b"T")])),
    (0, able(b"D", 9, options=[(28, b"\0")])),
])
def test_account_message_is_checked(kit, code, message):
    assert decoded(kit, message)[1]["reject"] == code


def test_other_user_ref_index_names_no_order(kit):
    for message in (cancel(7), modify(7)):
        assert decoded(kit, message + tags((28, b"\1")))[1]["user_ref_num"] == 0
        assert decoded(kit, message + tags((28, b"\0")))[1]["user_ref_num"] == 7
        assert decoded(kit, message + tags((25, b"Y")))[1]["user_ref_num"] == 7


def test_query_of_another_user_ref_index_has_no_answer(kit):
    before = kit.core.counters.copy()
    assert decoded(kit, b"Q" + tags((28, b"\2")))[0]["kind"] == record.IGNORE
    assert decoded(kit, b"Q" + tags((28, b"\0")))[0]["kind"] == record.QUERY
    assert (kit.core.counters == before).all()


def test_symbols_are_found_in_a_long_table():
    kit = Kit(symbols=40, is_open=False)
    for symbol in range(40):
        name = kit.core.book.symbols[symbol]["name"].tobytes()
        command, detail = decoded(kit, enter(1, symbol=name))
        assert (command["symbol"], detail["reject"]) == (symbol, 0)
    assert decoded(kit, enter(1, symbol=b"S40     "))[1]["reject"] == 0x0017


SOUP = """
    import ctypes, mmap, random
    import numpy as np
    from appliance.hot import codec
    from tests.hot.core_kit import Kit, enter, replace, cancel, modify, mass_cancel, able
    from numba import config
    kit, dice, page = Kit(is_open=False), random.Random(20), mmap.PAGESIZE
    area = mmap.mmap(-1, 3 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None, use_errno=True)
    for guard in (0, 2):
        assert libc.mprotect(ctypes.c_void_p(address + guard * page), page, 0) == 0
    frames = np.frombuffer(area, np.uint8)
    whole = [enter(9, options=[(2, b"ABCD"), (29, b"O")]), replace(1, 2, options=[(3, bytes(4))]),
             cancel(1) + bytes(2), modify(1) + b"\\0\\3\\2\\34\\0", mass_cancel(4),
             able(b"D", 5), b"Q"]
    for turn in range(TURNS):
        message = bytearray(dice.choice(whole))
        for _ in range(dice.randrange(4)):
            message[dice.randrange(len(message))] = dice.randrange(256)
        if turn % 3 == 0:
            message = message[:dice.randrange(len(message) + 1)]
        elif turn % 3 == 1:
            message += bytes(dice.randrange(256) for _ in range(dice.randrange(9)))
        size = len(message)
        off = page if turn & 1 else 2 * page - size
        frames[off:off + size] = np.frombuffer(bytes(message), np.uint8)
        codec.decode(kit.core, frames, off, size, turn % 3, 4)
        if config.DISABLE_JIT:
            codec.decode(kit.core, frames[off:off + size].copy(), 0, size, turn % 3, 4)
    print("read nothing outside", int(kit.core.counters.sum()) > 0)
"""


@pytest.mark.parametrize("setting, turns", [("NUMBA_BOUNDSCHECK", 20000),
                                            ("NUMBA_DISABLE_JIT", 1500)])
def test_random_soup_reads_nothing_outside_the_message(tmp_path, setting, turns):
    """Guard pages on both sides: a byte too far ends the process."""
    environment = os.environ | {setting: "1", "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": "."}
    script = textwrap.dedent(SOUP).replace("TURNS", str(turns))
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True,
                          text=True)
    assert done.stdout.strip() == "read nothing outside True", done.stderr[-2000:]


def test_rejection_reaches_the_account(kit):
    assert kit.send(enter(300, side=b"Q"))[-1] == rejected(300, 9)

"""The oracle's bytes against the vectors of the wire specification, and its independence."""

import ast
from pathlib import Path

import pytest

from tests.oracle import feed, message, reports, session
from tests.oracle.order import Order
from tests.oracle.venue import Venue, mask_itch, mask_ouch
from tests.oracle.words import Floor

TIME = 34200123456789
REF = 1 << 56
EXAMPLE = b"EXAMPLE "


def an_order():
    order = Order()
    order.user_ref_num, order.side, order.open, order.price = 1, b"B", 200, 1633400
    order.tif, order.display, order.capacity, order.sweep = b"0", b"Y", b"P", b"N"
    order.cross, order.clordid, order.tags = b"N", b"CLORD-0001    ", {}
    return order


def changed(**fields):
    order = an_order()
    for name, value in fields.items():
        setattr(order, name, value)
    return order


OUCH_VECTORS = {
    "P01": (reports.system_event(TIME, b"S"), "5300001F1AD635BD1553"),
    "P02": (reports.accepted(TIME, an_order(), EXAMPLE, REF + 1),
            "4100001F1AD635BD150000000142000000C84558414D504C4520000000000018EC7830590100000000000"
            "001504E4E4C434C4F52442D30303031202020200000"),
    "P04": (reports.replaced(TIME, changed(user_ref_num=3, open=150, price=1633300), an_order(),
                             EXAMPLE, REF + 3),
            "5500001F1AD635BD15000000010000000342000000964558414D504C4520000000000018EC14305901000"
            "00000000003504E4E4C434C4F52442D30303031202020200000"),
    "P05": (reports.canceled(TIME, changed(user_ref_num=3), 100, b"U"),
            "4300001F1AD635BD15000000030000006455"),
    "P06": (reports.prevented(TIME, changed(user_ref_num=3), 40, 40, 1633300, b"A", b"O"),
            "4400001F1AD635BD1500000003000000285100000028000000000018EC14414F"),
    "P07": (reports.executed(TIME, an_order(), 50, 1633400, b"A", REF + 257),
            "4500001F1AD635BD150000000100000032000000000018EC784101000000000001010000"),
    "P08": (reports.broken(TIME, 1, REF + 257, b"E", b"CLORD-0001    "),
            "4200001F1AD635BD1500000001010000000000010145434C4F52442D3030303120202020"),
    "P09": (reports.rejected(TIME, 7, 0x17, b"CLORD-0001    "),
            "4A00001F1AD635BD15000000070017434C4F52442D3030303120202020"),
    "P12": (reports.priority_update(TIME, changed(user_ref_num=3, price=1633300), REF + 4),
            "5400001F1AD635BD1500000003000000000018EC14590100000000000004"),
    "P13": (reports.modified(TIME, changed(user_ref_num=2, side=b"T", open=300)),
            "4D00001F1AD635BD1500000002540000012C"),
    "P15": (reports.query_answer(TIME, 8), "5100001F1AD635BD1500000008"),
    "P16": (reports.mass_canceled(TIME, 4, b"MMK1", EXAMPLE),
            "5800001F1AD635BD15000000044D4D4B314558414D504C45200000"),
    "P17": (reports.disabled(TIME, 5, b"MMK1"), "4700001F1AD635BD15000000054D4D4B310000"),
    "P18": (reports.enabled(TIME, 6, b"MMK1"), "4B00001F1AD635BD15000000064D4D4B310000"),
}
ITCH_VECTORS = {
    "I01": (feed.system_event(TIME, b"Q"), "53000000001F1AD635BD1551"),
    "I03": (feed.trading_action(TIME, 7, EXAMPLE),
            "48000700001F1AD635BD154558414D504C4520542020202020"),
    "I11": (feed.add(TIME, 7, EXAMPLE, REF + 1, True, 200, 1633400),
            "41000700001F1AD635BD15010000000000000142000000C84558414D504C45200018EC78"),
    "I12": (feed.add(TIME, 7, EXAMPLE, REF + 2, False, 300, 1633500, b"MMK1"),
            "46000700001F1AD635BD150100000000000002530000012C4558414D504C45200018ECDC4D4D4B31"),
    "I13": (feed.executed(TIME, 7, REF + 1, 50, REF + 257),
            "45000700001F1AD635BD150100000000000001000000320100000000000101"),
    "I14": (feed.executed_at(TIME, 7, REF + 2, 25, REF + 257, 1633350),
            "43000700001F1AD635BD150100000000000002000000190100000000000101590018EC46"
            .replace("0101590018", "01014E0018")),      # ours are not printable
    "I15": (feed.cancel(TIME, 7, REF + 1, 30), "58000700001F1AD635BD1501000000000000010000001E"),
    "I16": (feed.delete(TIME, 7, REF + 1), "44000700001F1AD635BD150100000000000001"),
    "I17": (feed.replace(TIME, 7, REF + 1, REF + 3, 150, 1633300),
            "55000700001F1AD635BD1501000000000000010100000000000003000000960018EC14"),
    "I18": (feed.trade(TIME, 7, EXAMPLE, 75, 1633450, REF + 257),
            "50000700001F1AD635BD150000000000000000420000004B4558414D504C45200018ECAA01000000000001"
            "01"),
    "I19": (feed.cross(TIME, 7, EXAMPLE, 1_000_000, 1630000, REF + 257, b"O"),
            "51000700001F1AD635BD1500000000000F42404558414D504C45200018DF3001000000000001014F"),
    "I20": (feed.broken(TIME, 7, REF + 257), "42000700001F1AD635BD150100000000000101"),
    "I21": (feed.imbalance(TIME, 7, EXAMPLE, b"O",
                           (5000, 700, b"B", 1633400, 1633500, 1633350, b"L")),
            "49000700001F1AD635BD15000000000000138800000000000002BC424558414D504C45200018EC780018EC"
            "DC0018EC464F4C"),
}
MOLD_VECTORS = {
    "M01": (session.packet(b"261122A001", 12346, []), "32363131323241303031000000000000303A0000"),
    "M02": (session.packet(b"261122A001", 12346, [], 0xFFFF),
            "32363131323241303031000000000000303AFFFF"),
    "M05": (session.packet(b"261122A001", 12348, [b""]),
            "32363131323241303031000000000000303C00010000"),
    "U05": (session.packet(b"MM00010001", 3, [], 2), "4D4D303030313030303100000000000000030002"),
    "U06": (session.packet(b"MM00010001", 3, [b"", b""]),
            "4D4D30303031303030310000000000000003000200000000"),
}
VECTORS = OUCH_VECTORS | ITCH_VECTORS | MOLD_VECTORS


@pytest.mark.parametrize("name", VECTORS)
def test_bytes_equal_the_vector(name):
    made, expected = VECTORS[name]
    assert made.hex().upper() == expected


READ_VECTORS = {
    "O01": ("4F0000000142000000C84558414D504C4520000000000018EC783059504E4E434C4F52442D30303031202"
            "020200000",
            dict(user_ref_num=1, side=b"B", quantity=200, symbol=EXAMPLE, price=1633400,
                 tif=b"0", display=b"Y", capacity=b"P", sweep=b"N", cross=b"N",
                 clordid=b"CLORD-0001    ", tags=[])),
    "O02": ("4F00000002530000012C4558414D504C4520000000000018ECDC3359504E4E434C4F52442D30303031202"
            "02020000C05024D4D4B31050300000064",
            dict(user_ref_num=2, quantity=300, tif=b"3",
                 tags=[(2, b"MMK1"), (3, b"\0\0\0\x64")])),
    "O03": ("55000000010000000300000096000000000018EC1430594E434C4F52442D30303031202020200000",
            dict(orig_user_ref_num=1, user_ref_num=3, quantity=150, price=1633300, sweep=b"N")),
    "O04": ("580000000300000000", dict(user_ref_num=3, quantity=0, tags=[])),
    "O05": ("5800000003000000320000", dict(user_ref_num=3, quantity=50, tags=[])),
    "O06": ("4D00000002540000012C", dict(user_ref_num=2, side=b"T", quantity=300)),
    "O07": ("51", dict(tags=[])),
    "O08": ("43000000044D4D4B314558414D504C45200000",
            dict(user_ref_num=4, firm=b"MMK1", symbol=EXAMPLE)),
    "O09": ("44000000054D4D4B310000", dict(kind=b"D", user_ref_num=5, firm=b"MMK1")),
    "O10": ("45000000064D4D4B310000", dict(kind=b"E", user_ref_num=6, firm=b"MMK1")),
}


@pytest.mark.parametrize("name", READ_VECTORS)
def test_an_order_vector_is_read_field_by_field(name):
    text, expected = READ_VECTORS[name]
    read = message.read(bytes.fromhex(text))
    assert read.shape == message.GOOD
    assert {field: getattr(read, field) for field in expected} == expected


@pytest.mark.parametrize("text, shape", [
    ("", message.SHORT), ("7A", message.UNKNOWN), ("4F000000", message.SHORT),
    ("4F00000001", message.MALFORMED), ("5500000001000000", message.SHORT),
    ("550000000100000002", message.MALFORMED), ("58000000030000003200", message.SHORT),
    ("580000000300000032000100", message.SHORT), ("510003021C00", message.GOOD),
    ("44000000054D4D4B31000100", message.MALFORMED)])
def test_a_message_of_wrong_structure_is_told_apart(text, shape):
    assert message.read(bytes.fromhex(text)).shape == shape


def test_the_orders_of_the_vectors_give_the_answers_of_the_vectors():
    venue = Venue(1, [dict(name="EXAMPLE", tick_size=100)], [dict(name="M", firm="MMK1")])
    venue.start(TIME)
    venue.message(0, bytes.fromhex(READ_VECTORS["O01"][0]), TIME)
    assert venue.streams[0][-1].hex().upper() == OUCH_VECTORS["P02"][1]
    accepted = venue.feed[-1]
    assert accepted[11:].hex().upper() == ITCH_VECTORS["I11"][1][22:]


def test_the_oracle_imports_nothing_of_what_it_judges():
    for path in Path(__file__).parent.glob("*.py"):
        if path.name.startswith("test_"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = ([each.name for each in node.names] if isinstance(node, ast.Import)
                     else [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
            for name in names:
                allowed = name.startswith("tests.oracle") or name in (
                    "struct", "bisect", "collections", "copy", "random")
                assert allowed, f"{path.name} imports {name}"


def test_masks_blank_the_timestamp_and_nothing_else():
    for name, mask in (("P02", mask_ouch), ("I11", mask_itch)):
        data = bytes.fromhex(VECTORS[name][1])
        blanked = data.replace(TIME.to_bytes(6, "big"), bytes(6))
        assert mask(data) == blanked != data


def test_assigned_names_carry_day_partition_account_and_instance():
    assert session.session_name(326, "O", 1, 36 * 36 * 10 + 7, "0") == b"326O01A070"
    assert Venue(1, [], [], day=326).feed_name == b"326F010000"


def test_a_floor_speaks_bytes_that_the_reader_accepts():
    floor = Floor()
    floor.enter(0, 1, "B", 100)
    assert floor.heard(0) == ["accepted 1 B 100 at 10000 ref 1"]

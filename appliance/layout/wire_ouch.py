"""OUCH 5.0, every message of both editions (A = April 2023, B = October 2025; wire-spec 5).

OUCH_IN[letter] and OUCH_OUT[letter] are messages, OUCH_IN["O"]["price"].off an offset in one;
`size` is the fixed part with the appendage length where that is mandatory. TAGS[number] says name,
type and size of an option value; an element is u8 length (value size + 1), u8 tag, value.
"""

from .codes import CANCEL_REASONS, LIQUIDITY_FLAGS, REJECT_REASONS, meanings
from .lang import Field, Message, wire

TAG_ELEMENT = wire(
    "tag_value", 2, "Begins each element of an appendage; the value follows.",
    (0, "length", "u8", "bytes after this one: value size + 1; 0 is malformed"),
    (1, "tag", "u8", "option tag"),
)
_B = "edition B only"


def _tag(name, kind, count=1, doc="", values=()):
    return Field(name, kind, count, doc, TAG_ELEMENT.size, dict(values))


TAGS = {
    1: _tag("secondary_ord_ref_num", "u64", doc="reference on the feed when it differs"),
    2: _tag("firm", "alpha", 4, "order entry firm; blank = the account's default"),
    3: _tag("min_qty", "u32", doc="minimum quantity, a round lot"),
    4: _tag("customer_type", "alpha", values=meanings("CUSTOMER_")),
    5: _tag("max_floor", "u32", doc="displayed part of the order"),
    6: _tag("price_type", "alpha", values=meanings("PRICE_TYPE_")),
    7: _tag("peg_offset", "i32", doc="offset in 0.0001"),
    9: _tag("discretion_price", "price4w"),
    10: _tag("discretion_price_type", "alpha", values=meanings("DISCRETION_")),
    11: _tag("discretion_peg_offset", "i32", doc="offset in 0.0001"),
    12: _tag("post_only", "alpha", values=meanings("POST_ONLY_")),
    13: _tag("random_reserves", "u32", doc="shares"),
    14: _tag("route", "alpha", 4, "edition A lists it for Enter Order"),
    15: _tag("expire_time", "u32", doc="seconds to live, below 86,400; needed with TIF 6"),
    16: _tag("trade_now", "alpha", values=meanings("FLAG_")),
    17: _tag("handle_inst", "alpha", values=meanings("HANDLE_")),
    18: _tag("bbo_weight_indicator", "alpha", doc="server only", values=meanings("BBO_")),
    22: _tag("display_quantity", "u32", doc="Order Restated only"),
    23: _tag("display_price", "price4w", doc="Order Restated only"),
    24: _tag("group_id", "u16", doc="customer's group"),
    25: _tag("shares_located", "alpha", values=meanings("FLAG_")),
    26: _tag("locate_broker", "alpha", 4, _B),
    27: _tag("side", "alpha", 1, _B, meanings("SIDE_")),
    28: _tag("user_ref_idx", "u8", 1, "edition B only; own UserRefNum sequence, absent = 0"),
    29: _tag("aiq_strategy", "alpha", 1, "edition B only; self-match prevention",
             meanings("AIQ_")),
    30: _tag("aiq_group_id", "alpha", 2, _B),
}
TAG_NUMBERS = {tag.name: number for number, tag in TAGS.items()}


def _ref(off, name="user_ref_num", doc="participant's number"):
    return (off, name, "u32", doc)


def _price(off, name="price"):
    return (off, name, "price4w")


def _side(off):
    return (off, "side", "alpha", "", meanings("SIDE_"))


def _tif(off):
    return (off, "time_in_force", "alpha", "", meanings("TIF_"))


def _display(off):
    return (off, "display", "alpha", "", meanings("DISPLAY_"))


def _capacity(off):
    return (off, "capacity", "alpha", "", meanings("CAPACITY_"))


def _sweep(off):
    return (off, "intermarket_sweep", "alpha", "", meanings("FLAG_"))


def _cross(off):
    return (off, "cross_type", "alpha", "", meanings("CROSS_"))


def _state(off):
    return (off, "order_state", "alpha", "dead: nothing more follows", meanings("STATE_"))


def _clordid(off):
    return (off, "cl_ord_id", "alpha", 14, "echoed")


def _symbol(off):
    return (off, "symbol", "alpha", 8, "right-padded with spaces")


def _firm(off):
    return (off, "firm", "alpha", 4, "order entry firm")


def _reference(off):
    return (off, "order_reference_number", "u64", "the number ITCH uses")


def _match(off):
    return (off, "match_number", "u64", "the same on both sides and in ITCH")


def _liquidity(off):
    return (off, "liquidity_flag", "alpha", "", LIQUIDITY_FLAGS)


def _appendage(off):
    return (off, "appendage_length", "u16", "bytes of tags that follow")


def _inbound(letter, name, size, *rows, **more):
    head = ((0, "type", "alpha", f"`{letter}`"),)
    return Message("ouch", "in", letter, name, size, head + rows, **more)


def _outbound(letter, name, size, *rows, **more):
    head = ((0, "type", "alpha", f"`{letter}`"),
            (1, "timestamp", "time8", "nanoseconds since midnight"))
    return Message("ouch", "out", letter, name, size, head + rows, **more)


_INBOUND = (
    _inbound("O", "enter_order", 47, _ref(1), _side(5),
             (6, "quantity", "u32", "1 to 999,999"), _symbol(10), _price(18), _tif(26),
             _display(27), _capacity(28), _sweep(29), _cross(30), _clordid(31), _appendage(45),
             appendage="mandatory", tags=(2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 24,
                                          25), tags_b=(26, 28, 29, 30)),
    _inbound("U", "replace_order", 40,
             _ref(1, "orig_user_ref_num", "the live order, last number of its chain"), _ref(5),
             (9, "quantity", "u32", "total for the chain, executed shares included"), _price(13),
             _tif(21), _display(22), _sweep(23), _clordid(24), _appendage(38),
             appendage="mandatory", tags=(3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 24, 25),
             tags_b=(26, 27, 28, 29, 30)),
    _inbound("X", "cancel_order", 9, _ref(1),
             (5, "quantity", "u32", "intended total, executed included; 0 = cancel the rest"),
             appendage="optional", tags_b=(28,)),
    _inbound("M", "modify_order", 10, _ref(1), _side(5),
             (6, "quantity", "u32", "intended total, executed included; 0 cancels"),
             appendage="optional", tags_b=(25, 26, 28)),
    _inbound("Q", "account_query", 1, appendage="optional", tags_b=(28,)),
    _inbound("C", "mass_cancel", 19, _ref(1, doc="consumed"), _firm(5),
             (9, "symbol", "alpha", 8, "spaces = all"), _appendage(17),
             appendage="mandatory", editions="B", tags_b=(24, 27, 28)),
    _inbound("D", "disable_order_entry", 11, _ref(1, doc="consumed"), _firm(5), _appendage(9),
             appendage="mandatory", editions="B", tags_b=(28,)),
    _inbound("E", "enable_order_entry", 11, _ref(1, doc="consumed"), _firm(5), _appendage(9),
             appendage="mandatory", editions="B", tags_b=(28,)),
)

_OUTBOUND = (
    _outbound("S", "system_event", 10, (9, "event_code", "alpha", "", meanings("DAY_EVENT_"))),
    _outbound("A", "order_accepted", 64, _ref(9), _side(13),
              (14, "quantity", "u32", "accepted"), _symbol(18), _price(26), _tif(34),
              _display(35), _reference(36), _capacity(44), _sweep(45), _cross(46), _state(47),
              _clordid(48), _appendage(62), appendage="mandatory",
              tags=(2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 25),
              tags_b=(28, 29, 30)),
    _outbound("U", "order_replaced", 68,
              _ref(9, "orig_user_ref_num", "the replaced order"), _ref(13), _side(17),
              (18, "quantity", "u32", "still open"), _symbol(22), _price(30), _tif(38),
              _display(39), _reference(40), _capacity(48), _sweep(49), _cross(50), _state(51),
              _clordid(52), _appendage(66), appendage="mandatory",
              tags=(2, 3, 5, 6, 12, 15, 16, 17, 18), tags_b=(28, 29, 30)),
    _outbound("C", "order_canceled", 18, _ref(9), (13, "quantity", "u32", "just removed"),
              (17, "reason", "alpha", "", CANCEL_REASONS), appendage="optional", tags_b=(28,)),
    _outbound("D", "aiq_canceled", 32, _ref(9), (13, "decrement_shares", "u32", "removed"),
              (17, "reason", "alpha", "always Q", CANCEL_REASONS),
              (18, "quantity_prevented", "u32", "quantity prevented from trading"),
              _price(22, "execution_price"), _liquidity(30),
              (31, "aiq_strategy", "alpha", "", meanings("AIQ_")),
              appendage="optional", tags_b=(28,)),
    _outbound("E", "order_executed", 36, _ref(9), (13, "quantity", "u32", "this execution"),
              _price(17), _liquidity(25), _match(26), _appendage(34),
              appendage="mandatory", tags_b=(28,)),
    _outbound("B", "broken_trade", 36, _ref(9), _match(13),
              (21, "reason", "alpha", "", meanings("BROKEN_")), _clordid(22),
              appendage="optional", tags_b=(28,)),
    _outbound("J", "rejected", 29, _ref(9, doc="consumed"),
              (13, "reason", "u16", "", REJECT_REASONS), _clordid(15),
              appendage="optional", tags_b=(28,)),
    _outbound("P", "cancel_pending", 13, _ref(9), appendage="optional", tags_b=(28,)),
    _outbound("I", "cancel_reject", 13, _ref(9), appendage="optional", tags_b=(28,)),
    _outbound("T", "order_priority_update", 30, _ref(9), _price(13), _display(21),
              _reference(22), appendage="optional", tags_b=(28,)),
    _outbound("M", "order_modified", 18, _ref(9), _side(13),
              (14, "quantity", "u32", "still open"), appendage="optional", tags_b=(28,)),
    _outbound("R", "order_restated", 16, _ref(9),
              (13, "reason", "alpha", "", meanings("RESTATED_")), _appendage(14),
              appendage="mandatory", tags=(1, 22, 23), tags_b=(28,)),
    _outbound("Q", "account_query_response", 13, _ref(9, "next_user_ref_num", "next free number"),
              appendage="optional", tags_b=(28,)),
    _outbound("X", "mass_cancel_response", 27, _ref(9), _firm(13), _symbol(17), _appendage(25),
              appendage="mandatory", editions="B", tags_b=(24, 27, 28)),
    _outbound("G", "disable_order_entry_response", 19, _ref(9), _firm(13), _appendage(17),
              appendage="mandatory", editions="B", tags_b=(28,)),
    _outbound("K", "enable_order_entry_response", 19, _ref(9), _firm(13), _appendage(17),
              appendage="mandatory", editions="B", tags_b=(28,)),
)
OUCH_IN = {message.letter: message for message in _INBOUND}
OUCH_OUT = {message.letter: message for message in _OUTBOUND}

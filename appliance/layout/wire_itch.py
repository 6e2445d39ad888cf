"""TotalView-ITCH 5.0 and GLIMPSE 5.0, every message (wire-spec 3 and 4).

ITCH[letter] is a message, ITCH["A"]["price"].off an offset in it; GLIMPSE["G"] ends a snapshot.
Prices are price4 (x 10,000), in V price8 (x 100,000,000). The common first 11 bytes: ITCH_HEADER.
"""

from .codes import HALT_REASONS, SUBTYPES, meanings
from .lang import Message, wire

_HEAD = (
    (1, "stock_locate", "u16", "index of the symbol, from 1; 0 where none applies"),
    (3, "tracking_number", "u16", "internal to the venue"),
    (5, "timestamp", "time6", "nanoseconds since midnight"),
)
ITCH_HEADER = wire("itch_header", 11, "Begins every ITCH message.",
                   (0, "message_type", "alpha", "letter case matters"), *_HEAD)
_REFERENCE = (11, "order_reference_number", "u64", "day-unique")
_YES_NO = meanings("YES_NO_")


def _stock(off):
    return (off, "stock", "alpha", 8, "symbol, right-padded with spaces")


def _itch(letter, name, size, *rows, doc=""):
    head = ((0, "message_type", "alpha", f"`{letter}`"), *_HEAD)
    return Message("itch", "out", letter, name, size, head + rows, doc=doc)


_ADD = (
    _REFERENCE,
    (19, "buy_sell_indicator", "alpha", "", meanings("BOOK_")),
    (20, "shares", "u32", "displayed quantity"),
    _stock(24),
    (32, "price", "price4", "display price"),
)
_EXECUTED = (
    _REFERENCE,
    (19, "executed_shares", "u32", "to subtract"),
    (23, "match_number", "u64", "day-unique"),
)

_MESSAGES = (
    _itch("S", "system_event", 12, (11, "event_code", "alpha", "", meanings("EVENT_"))),
    _itch("R", "stock_directory", 39, _stock(11),
          (19, "market_category", "alpha", "", meanings("CATEGORY_")),
          (20, "financial_status_indicator", "alpha", "", meanings("FINANCIAL_")),
          (21, "round_lot_size", "u32", "shares in a round lot"),
          (25, "round_lots_only", "alpha", "only round lots accepted", meanings("FLAG_")),
          (26, "issue_classification", "alpha", "", meanings("ISSUE_")),
          (27, "issue_sub_type", "alpha", 2, "about 60 codes; any is accepted", SUBTYPES),
          (29, "authenticity", "alpha", "", meanings("AUTHENTICITY_")),
          (30, "short_sale_threshold_indicator", "alpha", "", _YES_NO),
          (31, "ipo_flag", "alpha", "", meanings("IPO_FLAG_")),
          (32, "luld_ref", "alpha", "reference price tier", meanings("TIER_")),
          (33, "etp_flag", "alpha", "exchange traded product", _YES_NO),
          (34, "etp_leverage_factor", "u32", "whole-number factor, rounded down"),
          (38, "inverse_indicator", "alpha", "", meanings("FLAG_"))),
    _itch("H", "stock_trading_action", 25, _stock(11),
          (19, "trading_state", "alpha", "", meanings("TRADING_")),
          (20, "reserved", "alpha", "space"),
          (21, "reason", "alpha", 4, "spaces = none", HALT_REASONS)),
    _itch("Y", "reg_sho_restriction", 20, _stock(11),
          (19, "reg_sho_action", "alpha", "", meanings("REG_SHO_"))),
    _itch("L", "market_participant_position", 26,
          (11, "mpid", "alpha", 4, "market participant"), _stock(15),
          (23, "primary_market_maker", "alpha", "", meanings("FLAG_")),
          (24, "market_maker_mode", "alpha", "", meanings("MAKER_")),
          (25, "market_participant_state", "alpha", "", meanings("POSITION_"))),
    _itch("V", "mwcb_decline_level", 35,
          (11, "level1_price", "price8", "level 1"),
          (19, "level2_price", "price8", "level 2"),
          (27, "level3_price", "price8", "level 3")),
    _itch("W", "mwcb_status", 12,
          (11, "breached_level", "alpha", "", meanings("BREACHED_"))),
    _itch("K", "ipo_quoting_period_update", 28, _stock(11),
          (19, "ipo_release_time", "u32", "seconds since midnight; 0 = cancelled"),
          (23, "ipo_release_qualifier", "alpha", "", meanings("IPO_RELEASE_")),
          (24, "ipo_price", "price4", "")),
    _itch("J", "luld_auction_collar", 35, _stock(11),
          (19, "auction_collar_reference_price", "price4", ""),
          (23, "upper_auction_collar_price", "price4", ""),
          (27, "lower_auction_collar_price", "price4", ""),
          (31, "auction_collar_extension", "u32", "number of extensions")),
    _itch("h", "operational_halt", 21, _stock(11),
          (19, "market_code", "alpha", "", meanings("MARKET_")),
          (20, "operational_halt_action", "alpha", "", meanings("HALT_ACTION_"))),
    _itch("A", "add_order", 36, *_ADD, doc="A new displayed order."),
    _itch("F", "add_order_attributed", 40, *_ADD,
          (36, "attribution", "alpha", 4, "market participant"), doc="As A, with attribution."),
    _itch("E", "order_executed", 31, *_EXECUTED, doc="At the order's display price."),
    _itch("C", "order_executed_with_price", 36, *_EXECUTED,
          (31, "printable", "alpha", "no: leave out of volume", meanings("PRINTABLE_")),
          (32, "execution_price", "price4", ""), doc="At another price than displayed."),
    _itch("X", "order_cancel", 23, _REFERENCE,
          (19, "cancelled_shares", "u32", "to subtract"), doc="Partial cancel."),
    _itch("D", "order_delete", 19, _REFERENCE, doc="The order leaves the book."),
    _itch("U", "order_replace", 35,
          (11, "order_reference_number", "u64", "the original, which leaves the book"),
          (19, "new_order_reference_number", "u64", "day-unique"),
          (27, "shares", "u32", "new total displayed"),
          (31, "price", "price4", "display price"),
          doc="Side, symbol and attribution carry over."),
    _itch("P", "trade", 44,
          (11, "order_reference_number", "u64", "0"), *_ADD[1:],
          (36, "match_number", "u64", "day-unique"),
          doc="Execution of an order that was not displayed; the book does not change."),
    _itch("Q", "cross_trade", 40,
          (11, "shares", "u64", ""), _stock(19), (27, "cross_price", "price4", ""),
          (31, "match_number", "u64", "day-unique"),
          (39, "cross_type", "alpha", "", meanings("ITCH_CROSS_"))),
    _itch("B", "broken_trade", 19,
          (11, "match_number", "u64", "of an earlier E, C or P"), doc="Final."),
    _itch("I", "net_order_imbalance", 50,
          (11, "paired_shares", "u64", ""), (19, "imbalance_shares", "u64", ""),
          (27, "imbalance_direction", "alpha", "", meanings("IMBALANCE_")), _stock(28),
          (36, "far_price", "price4", ""), (40, "near_price", "price4", ""),
          (44, "current_reference_price", "price4", ""),
          (48, "cross_type", "alpha", "", meanings("ITCH_CROSS_")),
          (49, "variation_indicator", "alpha", "price variation", meanings("VARIATION_"))),
    _itch("N", "retail_interest", 20, _stock(11),
          (19, "interest_flag", "alpha", "", meanings("INTEREST_"))),
    _itch("O", "direct_listing_with_capital_raise", 48, _stock(11),
          (19, "open_eligibility_status", "alpha", "", meanings("FLAG_")),
          (20, "minimum_allowable_price", "price4", ""),
          (24, "maximum_allowable_price", "price4", ""),
          (28, "near_execution_price", "price4", ""),
          (32, "near_execution_time", "time8", "nanoseconds since midnight"),
          (40, "lower_price_range_collar", "price4", ""),
          (44, "upper_price_range_collar", "price4", "")),
)
ITCH = {message.letter: message for message in _MESSAGES}

GLIMPSE = {"G": Message(
    "glimpse", "out", "G", "end_of_snapshot", 21,
    ((0, "message_type", "alpha", "`G`"),
     (1, "sequence", "numeric", 20, "apply real-time messages beginning with this number")),
    doc="Ends a snapshot; no locate, tracking number or time.")}

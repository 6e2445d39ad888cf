"""Records of the matching core: command in, event out, and what is kept of an order.

Sizes are chosen for the cache: a command and an event are half a line each, the part of an order
that matching touches is 32 bytes, a level 8. What only reports need lies apart (`order_cold`).
Prices are in ticks of the symbol, quantities in shares (lots); no floating point anywhere.
"""

from .lang import native

# Command kinds. 1-15 name one order or one account's orders and reach the core; 16 and above
# change sessions, the day or the symbols. All of them are journalled.
ENTER, CANCEL, REPLACE, MODIFY, MASS_CANCEL, DISABLE, ENABLE, QUERY = 1, 2, 3, 4, 5, 6, 7, 8
REJECT = 9            # a well-framed message that failed a check: detail.reject says why
IGNORE = 10           # a well-framed message without any answer (unknown type, no UserRefNum)
LOGIN, LOGOUT, DISCONNECT, SKIP, FILLER, CLOCK, DAY_START, DAY_END = 16, 17, 18, 19, 20, 21, 22, 23
MARKET_OPEN = 24      # ends the pre-open phase that a DAY_START with OPENS_LATER began
HALT = 25             # a symbol's state; detail: side_letter the state, firm the reason
BUST = 26             # a trade is broken; detail: upstream_seq the match n, side_letter the reason
IMBALANCE = 27        # NOII messages are due; detail.cross: of which cross
LIMIT = 28            # a risk limit; detail: side_letter which (RULES), upstream_seq the value,
#                       present: SCOPE_ACCOUNT, SCOPE_SYMBOL or both
KILL = 29             # detail.cross A, S, V: of account, symbol, venue; with flag LIFT its end
MODE = 30             # detail.side_letter: MODE_NORMAL ... MODE_HALTED, firm the reason
# What an operator asked for (DISCONNECT, DAY_END ... MODE) has in its detail who: clordid the name,
# ip the uid; and orig_user_ref_num the number of the request, 0 none.
GRACE_OVER = 36       # a lost session's account has not come back: its orders leave

# command.flags
POST_ONLY, MARKET = 1, 2
OPENS_LATER = 4       # DAY_START: no continuous orders before MARKET_OPEN
HIDDEN = 8            # never on the feed; behind the shown orders of its price
RESERVE = 16          # shows min_qty shares at a time (with RESERVE min_qty is the floor)
AUCTION = 32          # waits for its cross; with ON_CLOSE the closing one
ON_CLOSE = 64
LIFT = 128            # KILL: orders are taken again

SCOPE_ACCOUNT, SCOPE_SYMBOL = 1, 2
MODE_NORMAL, MODE_THROTTLED, MODE_CANCEL_ONLY, MODE_HALTED = 0, 1, 2, 3
# The limits by their numbers in LIMIT; 0 is none, of RESTRICTED no.
MAX_QUANTITY, MAX_NOTIONAL, MAX_OPEN, MAX_POSITION, PRICE_BAND = 1, 2, 3, 4, 5
DUPLICATES, DUPLICATE_WINDOW, RESTRICTED = 6, 7, 8

# Self-match prevention of the incoming order (command.smp): what is cancelled.
SMP_OFF, SMP_OLDEST, SMP_NEWEST, SMP_DECREMENT = 0, 1, 2, 3

COMMAND = native(
    "command", 32, "One validated inbound message, as the book sees it.",
    ("kind", "u8", "ENTER ... GRACE_OVER"),
    ("side", "u8", "0 buy, 1 sell (side letters B=0; S, T, E=1)"),
    ("tif", "u8", "0 day, 3 immediate, 6 good till time. CANCEL: reason letter, 0 = U"),
    ("flags", "u8", "POST_ONLY ... LIFT"),
    ("order", "u32", "handle of the new order (ENTER, REPLACE), else 0"),
    ("target", "u32", "handle of the existing order (CANCEL, REPLACE, MODIFY), else 0"),
    ("qty", "u32", "ENTER: quantity. CANCEL, REPLACE, MODIFY: intended total, executed included"),
    ("price_ticks", "i32", "limit in ticks; MARKET: 2147483647 to buy, 0 to sell"),
    ("min_qty", "u32", "least trade at once, of a hidden one at any time; RESERVE: the floor"),
    ("symbol", "u16", "index into the partition's symbol table"),
    ("account", "u16", "index into the partition's account table"),
    ("smp", "u8", "SMP_OFF ... SMP_DECREMENT"),
    ("pad", "u8", 3, "zero"),
)

# detail.present: which optional tags the participant sent (they are echoed)
TAG_FIRM, TAG_MIN_QTY, TAG_CUSTOMER, TAG_POST_ONLY = 1, 2, 4, 8
TAG_GROUP, TAG_LOCATED, TAG_AIQ, TAG_MAX_FLOOR = 16, 32, 64, 128   # tag 15: TIF 6 has it

DETAIL = native(
    "detail", 80, "What the journal and the reports need of a command and the book does not.",
    ("upstream_seq", "u64", "participant's message number"),
    ("user_ref_num", "u32", "of the message; MASS_CANCEL, DISABLE, ENABLE too"),
    ("orig_user_ref_num", "u32", "REPLACE: the live order"),
    ("token_epoch", "u32", "number of the account's login today"),
    ("reject", "u16", "REJECT: reason of wire-spec 5.6, else 0"),
    ("present", "u8", "TAG_ bits of the optional tags sent"),
    ("side_letter", "u8", "as sent: B S T E"),
    ("display", "u8", "Y N A"), ("capacity", "u8", "A P R O"),
    ("sweep", "u8", "intermarket sweep Y N"), ("cross", "u8", "cross type"),
    ("customer", "u8", "tag 4"), ("located", "u8", "tag 25"),
    ("aiq", "u8", "tag 29 letter"), ("tif_letter", "u8", "as sent"),
    ("group", "u16", "tag 24"), ("mac", "u8", 6, "LOGIN: Ethernet address to answer to"),
    ("firm", "u8", 4, "tag 2, or MASS_CANCEL DISABLE ENABLE firm"),
    ("symbol_text", "u8", 8, "as sent (a rejected symbol has no index)"),
    ("clordid", "u8", 14, "echoed; LOGIN: the token in the first ten; of an operator's command his "
                          "name"),
    ("udp_port", "u16", "LOGIN: source port"),
    ("ip", "u32", "LOGIN: source address, first byte of the dotted form highest; of an operator's "
                  "command his uid"),
    ("max_floor", "u32", "tag 5"), ("expire_s", "u32", "tag 15, seconds"),
)

JOURNAL_RECORD = native(
    "journal_record", 128, "One command in the journal ring.",
    ("seq", "u64", "1, 2, 3, ... through the day"),
    ("time_ns", "u64", "nanoseconds since midnight of the session's day; never goes back"),
    ("command", "u8", 32, "a command"),
    ("detail", "u8", 80, "its detail"),
)

# Event kinds, in the words of design.md 2.
ACCEPTED, REPLACED, TRADE, BOOKED, MOVED, UNBOOKED = 1, 2, 3, 4, 5, 6
CANCELED, MODIFIED, PREVENTED, REFUSED = 7, 8, 9, 10
REFRESHED, CROSSED, CROSS_DONE = 11, 12, 13

# event.flags. UNSHOWN: the order that the feed would name is not on it (TRADE, CROSSED: `resting`).
ORDER_DEAD, RESTING_DEAD, WAS_BOOKED, UNSHOWN = 1, 2, 4, 8
ORDER_UNSHOWN = 16    # CROSSED: `order` is not on the feed

EVENT = native(
    "event", 32, "One result of matching.",
    ("kind", "u8", "ACCEPTED ... CROSS_DONE; REFUSED: a far level was needed, none is free"),
    ("side", "u8", "of `order`: 0 buy, 1 sell"),
    ("reason", "u8", "CANCELED: letter of wire-spec 5.5. PREVENTED: SMP_OLDEST ... DECREMENT. "
                     "CROSS_DONE: O or C, H"),
    ("flags", "u8", "ORDER_DEAD ... ORDER_UNSHOWN"),
    ("order", "u32", "the subject; TRADE: the incoming. CROSSED: the buy. CROSS_DONE: symbol"),
    ("resting", "u32", "TRADE: resting order. REPLACED, MOVED, UNBOOKED: the replaced order "
                       "(MOVED by growth: the order itself). PREVENTED: the other. CROSSED: sell"),
    ("qty", "u32", "ACCEPTED, REPLACED, MODIFIED: open. BOOKED, MOVED, REFRESHED: shown. TRADE, "
                   "CROSSED: traded. CANCELED, PREVENTED, UNBOOKED: removed. CROSS_DONE: low word"),
    ("price_ticks", "i32", "TRADE, PREVENTED: resting price. BOOKED, MOVED, REFRESHED: limit. "
                           "CROSSED, CROSS_DONE: the cross. CANCELED: shown shares removed"),
    ("left", "u32", "TRADE: resting shown quantity left. CANCELED: open left. MODIFIED: shown "
                    "shares removed, 0 when it grew. PREVENTED: quantity prevented from trading; "
                    "SMP_DECREMENT of a booked order: shown left. CROSS_DONE: high word of shares"),
    ("number", "u64", "ACCEPTED, REPLACED, REFRESHED, MOVED by growth: order reference n. TRADE, "
                      "CROSSED, CROSS_DONE: match n"),
)

ORDER = native(
    "order", 32, "The part of an order that matching touches; handle = index, 0 is nobody.",
    ("next", "u32", "next in time at the level, 0 none"),
    ("prev", "u32", "previous in time at the level, 0 none"),
    ("qty", "u32", "open quantity, of a reserve order the shown part; 0 = not live"),
    ("level", "u32", "ladder level index, or FAR_BIT | far slot; EXTRA_BIT: `extras` has more"),
    ("total", "u32", "current intended total, executed shares included"),
    ("account", "u16", "index into the partition's account table"),
    ("pad", "u8", 10, "zero"),
)
FAR_BIT, EXTRA_BIT = 0x80000000, 0x40000000

EXTRA = native(
    "extra", 24, "What an order that is not plain has beside its place; valid with EXTRA_BIT.",
    ("reserve", "u32", "shares not shown"), ("floor", "u32", "shares shown at a time, 0 none"),
    ("least", "u32", "minimum quantity of a hidden order, 0 none"), ("pad", "u32", "zero"),
    ("number", "u64", "its order reference n (valid for an order that is not shown)"),
)

LEVEL = native(
    "level", 8, "One price of one side: a queue of orders.",
    ("head", "u32", "oldest order, 0 none"), ("tail", "u32", "newest order, 0 none"),
)

FAR_LEVEL = native(
    "far_level", 16, "A level outside the ladder's window; found through its side's far blocks.",
    ("head", "u32", "oldest order; of a free level the next free one, 0 none"),
    ("tail", "u32", "newest order"),
    ("price_ticks", "i32", "its price"), ("owner", "u32", "whose, as in Book.sides"),
)
# Far levels that a block holds at most, and at least, a side's last block excepted (hot/far.py).
FAR_BLOCK, FAR_LEAST = 64, 16

ORDER_COLD = native(
    "order_cold", 64, "What reports need of an order; written once when it is accepted.",
    ("order_ref", "u64", "order reference n (partition goes in the top byte on the wire)"),
    ("user_ref_num", "u32", "participant's number"),
    ("price_ticks", "i32", "limit"),
    ("account", "u16", "owner"), ("symbol", "u16", "symbol index"),
    ("min_qty", "u32", "tag 3"),
    ("side_letter", "u8", "B S T E; Modify may change it"), ("tif_letter", "u8", "as accepted"),
    ("display", "u8", "Y A"), ("capacity", "u8", ""), ("sweep", "u8", ""), ("cross", "u8", ""),
    ("customer", "u8", "tag 4"), ("located", "u8", "tag 25"),
    ("aiq", "u8", "tag 29"), ("present", "u8", "TAG_ bits"), ("group", "u16", "tag 24"),
    ("firm", "u8", 4, "tag 2"), ("clordid", "u8", 14, ""),
    ("flags", "u8", "POST_ONLY ... ON_CLOSE"), ("smp", "u8", "effective SMP_ mode"),
    ("max_floor", "u32", "tag 5"), ("expire_s", "u32", "tag 15, seconds"),
)

SYMBOL = native(
    "symbol", 64, "One symbol of the partition.",
    ("name", "u8", 8, "padded with spaces"),
    ("tick_size", "u32", "price units (0.0001) in a tick"),
    ("lot_size", "u32", "round lot, for the directory"),
    ("locate", "u16", "ITCH stock locate"),
    ("state", "u8", "letter: T trading, H halted, P paused, Q quotation for a halt cross"),
    ("guard", "u8", "GUARD_ bits: what admission has to look at besides, 0 nothing"),
    ("window_ticks", "i32", "first price of the ladder's window, in ticks"),
    ("reference_ticks", "i32", "reference price: as configured, then the last cross's"),
    ("collar_ticks", "i32", "trades stay so near to the reference, 0 no collar"),
    ("buy_bound_ticks", "i32", "worst price at which a buy may trade; 2147483647 any"),
    ("sell_bound_ticks", "i32", "the same of a sell; 0 any"),
    ("reason", "u8", 4, "of the state, as in the feed's trading action"),
    ("drift", "u32", "orders booked at the touch outside the window since it last moved"),
    ("rest", "u8", 16, "zero"),
)
GUARD_KILLED, GUARD_LIMITS, GUARD_MODE = 1, 2, 4       # MODE: halted by MODE_HALTED alone

# Risk. What an account has limits or restricted symbols for has a row of its own ("slot").
LIMITS = native(
    "limits", 48, "An account's limits in every symbol; 0 is no limit.",
    ("max_notional", "u64", "of an order, in units of 0.0001 times shares"),
    ("max_position", "u64", "shares on a side of a symbol: filled net and open"),
    ("max_quantity", "u32", "shares of an order"), ("max_open", "u32", "live orders in all"),
    ("price_band", "u32", "basis points beyond the reference"),
    ("duplicates", "u32", "like orders within duplicate_window"),
    ("duplicate_window", "u32", "ms"), ("account", "u16", "owner"), ("pad", "u16", "zero"),
    ("rest", "u64", "zero"),
)
EXPOSURE = native(
    "exposure", 64, "An account's limits and exposure in one symbol: [slot * symbols + symbol]; in "
                    "slot 0 the symbol's limits for everybody.",
    ("max_notional", "u64", "as LIMITS"), ("max_position", "u64", "as LIMITS"),
    ("max_quantity", "u32", "as LIMITS"), ("max_open", "u32", "live orders in the symbol"),
    ("price_band", "u32", "as LIMITS"), ("restricted", "u32", "1: no new orders"),
    ("position", "i64", "shares bought less shares sold since the account has a slot"),
    ("open_buy", "u64", "open shares"), ("open_sell", "u64", ""),
    ("open_cnt", "u32", "live orders"), ("pad", "u32", "zero"),
)
RECENT = native(
    "recent", 32, "A kind of order that an account has entered: [slot * RECENT_CNT + hash].",
    ("first_ns", "u64", "record time of the first of its window"),
    ("qty", "u32", ""), ("price_ticks", "i32", ""), ("symbol", "u16", ""), ("side", "u8", ""),
    ("pad", "u8", "zero"), ("count", "u32", "so many since then, 0 an unused row"),
    ("rest", "u64", "zero"),
)
RECENT_CNT = 64

SIDE = native(
    "side", 32, "One side of a symbol in a group: [group * 2 * symbols + symbol * 2 + side].",
    ("best_ticks", "i32", "best price; -1 empty buy side, 2147483647 empty sell side"),
    ("order_cnt", "u32", "live booked orders"),
    ("plain_ticks", "i32", "SHOWN: first price of the reach, see hot/reach.py"),
    ("plain_cnt", "u32", "SHOWN: prices in the reach; 0 to be found out again"),
    ("plain_level", "u32", "SHOWN: ladder level of price 0 modulo 2 ** 32, valid with a reach"),
    ("far_cnt", "u32", "far levels"),
    ("hidden_cnt", "u32", "SHOWN: orders of the HIDDEN side beside it; else zero"),
    ("pad", "u32", "zero"),
)
# Groups of sides. SHOWN has a ladder; the others have far levels only.
SHOWN_GROUP, HIDDEN_GROUP, OPENING_GROUP, CLOSING_GROUP, GROUPS = 0, 1, 2, 3, 4

TRADE_LOG = native(
    "trade_log", 64, "A trade as a bust needs it; ring indexed by match n.",
    ("number", "u64", "match n, 0 nothing or broken"),
    ("buy_account", "u16", ""), ("sell_account", "u16", ""), ("symbol", "u16", ""),
    ("pad", "u16", "zero"), ("buy_ref", "u32", "UserRefNum"), ("sell_ref", "u32", ""),
    ("buy_clordid", "u8", 14, ""), ("sell_clordid", "u8", 14, ""), ("rest", "u8", 12, "zero"),
)

PAGE = native(
    "page", 16, "256 consecutive UserRefNums of one account; handle = page * 256 + low byte.",
    ("key", "u32", "UserRefNum >> 8"), ("next", "u32", "account's next (newer) page, 0 none"),
    ("prev", "u32", "account's previous page, 0 none"),
    ("account", "u16", "owner"), ("live_cnt", "u16", "live orders in it"),
)

RECORDS = (COMMAND, DETAIL, JOURNAL_RECORD, EVENT, ORDER, EXTRA, LEVEL, FAR_LEVEL, ORDER_COLD,
           SYMBOL, SIDE, TRADE_LOG, PAGE, LIMITS, EXPOSURE, RECENT)

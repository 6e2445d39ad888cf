"""Admission: the checks of a decoded message that look at the state, and what an order needs.

Each function returns APPLY (the command, now with handles, goes to the book), IGNORED (nothing more
happens, counted) or a reject code above 0 that is to be answered.
"""

import numpy as np

from appliance.hot.codec_order import against_cross
from appliance.hot.kernel import later
from appliance.hot.pages import find_order, has_room, take
from appliance.hot.raw import raw_load32, raw_load64, raw_store32, raw_store64
from appliance.hot.risk import is_guarded, judge
from appliance.hot.streams import PART_RESERVE, reserve
from appliance.hot.throttle import over_rate
from appliance.hot.types import CORE, I64, INLINE, INNER, VOID
from appliance.layout import codes
from appliance.layout.record import (
    AUCTION, CANCEL, DETAIL, EXTRA_BIT, HIDDEN, MARKET, ON_CLOSE, ORDER_COLD, RESERVE, TAG_AIQ,
    TAG_CUSTOMER, TAG_FIRM, TAG_GROUP, TAG_LOCATED, TAG_MAX_FLOOR, TAG_MIN_QTY, TAG_POST_ONLY,
)
from appliance.layout.shared import CHUNK_SZ, COUNTER_INDEX

APPLY, IGNORED = 0, -1
PHASE_BEFORE, PHASE_OPEN, PHASE_CLOSED, PHASE_PRE_OPEN = 0, 1, 2, 3

_ONE = np.uint64(1)
_STALE, _CAPACITY = COUNTER_INDEX["messages_stale"], COUNTER_INDEX["capacity_rejects"]
_CANCELS_IGNORED = COUNTER_INDEX["cancels_ignored"]
_MARGIN_SHIFT = 6          # a 64th of the chunks, and one, stays between new orders and the reserve

_COLD_CLORDID, _DETAIL_CLORDID = ORDER_COLD["clordid"].off, DETAIL["clordid"].off
_COLD_FIRM, _DETAIL_FIRM = ORDER_COLD["firm"].off, DETAIL["firm"].off
_CHAIN_TAGS = TAG_FIRM | TAG_CUSTOMER | TAG_GROUP | TAG_LOCATED    # carried over by Replace
_OWN_TAGS = TAG_MIN_QTY | TAG_POST_ONLY | TAG_AIQ | TAG_MAX_FLOOR  # each Replace brings its own
_OPENING, _CLOSING, _HALT = codes.CROSS_OPENING, codes.CROSS_CLOSING, codes.CROSS_HALT_OR_IPO
_S, _T, _E = codes.SIDE_SELL, codes.SIDE_SELL_SHORT, codes.SIDE_SELL_SHORT_EXEMPT


@later(I64(CORE, I64), **INLINE)
def numbered(core, idx):
    """Consumes the UserRefNum of burst record idx: APPLY, or IGNORED when it is stale."""
    session = core.accounts.sessions[np.int64(core.burst.commands[idx]["account"])]
    number = core.burst.details[idx]["user_ref_num"]
    if number <= session["last_user_ref"]:
        core.counters[_STALE] += _ONE
        return np.int64(IGNORED)
    session["last_user_ref"] = number
    return np.int64(APPLY)


@later(I64(CORE, I64, I64), **INLINE)
def _has_chunks(core, open_qty, floor):
    """1 while the streams have room for every live order and one of these shares to its end."""
    engine, parts = core.book.engine, np.int64(0)
    if floor > 0:
        parts = open_qty // floor + 1
    chunks = (reserve(engine) + (core.streams.heads.size >> _MARGIN_SHIFT) + 1
              + parts * PART_RESERVE // CHUNK_SZ)
    return np.int64(np.int64(engine[0]["free_chunk"]) >= chunks)


@later(I64(CORE, I64, I64, I64, I64), **INLINE)
def _pools(core, account, number, open_qty, floor):
    """APPLY, or the reject code when the page pool, the quota or the stream chunks are used up."""
    engine = core.book.engine
    if _has_chunks(core, open_qty, floor) == 0 \
            or not has_room(core.accounts, engine, account, number):
        core.counters[_CAPACITY] += _ONE
        return np.int64(codes.REJECT_PROCESSING_ERROR)
    return np.int64(APPLY)


@later(VOID(CORE, I64, I64, I64), **INLINE)
def _remember(core, idx, handle, open_qty):
    """Writes what Enter and Replace alike bring of an order of open_qty into its order_cold.

    A floor below open_qty makes the command one of a RESERVE order.
    """
    command, detail = core.burst.commands[idx], core.burst.details[idx]
    cold = core.accounts.cold[handle]
    cold["user_ref_num"] = detail["user_ref_num"]
    cold["price_ticks"] = command["price_ticks"]
    cold["account"], cold["symbol"] = command["account"], command["symbol"]
    cold["min_qty"], cold["max_floor"] = command["min_qty"], detail["max_floor"]
    floor = np.int64(detail["max_floor"])
    if floor != 0 and floor < open_qty:
        command["flags"] = np.uint8(np.int64(command["flags"]) | RESERVE)
        command["min_qty"] = np.uint32(floor)
    cold["tif_letter"], cold["display"] = detail["tif_letter"], detail["display"]
    cold["sweep"], cold["aiq"] = detail["sweep"], detail["aiq"]
    cold["flags"], cold["smp"] = command["flags"], command["smp"]
    cold["expire_s"] = detail["expire_s"]
    raw_store64(core.accounts.cold, handle, _COLD_CLORDID,
                raw_load64(core.burst.details, idx, _DETAIL_CLORDID))
    raw_store64(core.accounts.cold, handle, _COLD_CLORDID + 6,
                raw_load64(core.burst.details, idx, _DETAIL_CLORDID + 6))


@later(I64(I64, I64), **INLINE)
def _phase_refuses(phase, cross):
    """Before the day and after it nothing is entered, before the opening only for two crosses."""
    if phase == PHASE_OPEN or (phase == PHASE_PRE_OPEN
                               and (cross == _OPENING or cross == _CLOSING)):
        return np.int64(0)
    return np.int64(codes.REJECT_DESTINATION_CLOSED)


@later(I64(I64, I64), **INLINE)
def _state_refuses(state, cross):
    """In quotation only orders of the halt cross are taken, in a halt or pause none."""
    if state == codes.TRADING_NORMAL or (state == codes.TRADING_QUOTATION_ONLY and cross == _HALT):
        return np.int64(0)
    return np.int64(codes.REJECT_HALTED)


@later(I64(I64, I64, I64), **INLINE)
def _too_late(phase, state, cross):
    """An order for the opening cross when it is over, for a halt cross when there is no halt."""
    if (cross == _OPENING and phase == PHASE_OPEN) \
            or (cross == _HALT and state == codes.TRADING_NORMAL):
        return np.int64(codes.REJECT_INVALID_CROSS_ORDER)
    return np.int64(0)


@later(I64(CORE, I64), **INLINE)
def enter(core, idx):
    """Checks a new order in the order that the rules give and prepares its handle."""
    command, detail = core.burst.commands[idx], core.burst.details[idx]
    account, cross = np.int64(command["account"]), np.int64(detail["cross"])
    if numbered(core, idx) != APPLY:
        return np.int64(IGNORED)
    code = over_rate(core, account)
    if code != 0:
        return code
    phase = np.int64(core.book.engine[0]["phase"])
    code = _phase_refuses(phase, cross)
    if code != 0:
        return code
    if core.accounts.sessions[account]["disabled"] != 0:
        return np.int64(codes.REJECT_FIRM_NOT_AUTHORISED)
    code = np.int64(detail["reject"])
    if code == codes.REJECT_INVALID_SIDE or code == codes.REJECT_INVALID_QUANTITY \
            or code == codes.REJECT_INVALID_SYMBOL:
        return code
    state = np.int64(core.book.symbols[np.int64(command["symbol"])]["state"])
    halted = _state_refuses(state, cross)
    if halted != 0:
        return halted
    if code == 0:
        code = _too_late(phase, state, cross)
    if code == 0 and is_guarded(core, account, np.int64(command["symbol"])) != 0:
        code = judge(core, account, np.int64(command["symbol"]), np.int64(command["side"]),
                     np.int64(command["price_ticks"]), np.int64(command["qty"]), np.int64(0))
    if code == 0:
        code = _pools(core, account, np.int64(detail["user_ref_num"]), np.int64(command["qty"]),
                      np.int64(detail["max_floor"]))
    if code != APPLY:
        return code
    handle = take(core.accounts, core.book.engine, account, np.int64(detail["user_ref_num"]))
    command["order"] = np.uint32(handle)
    _remember(core, idx, handle, np.int64(command["qty"]))
    cold = core.accounts.cold[handle]
    cold["side_letter"], cold["capacity"] = detail["side_letter"], detail["capacity"]
    cold["cross"], cold["customer"] = detail["cross"], detail["customer"]
    cold["located"], cold["present"] = detail["located"], detail["present"]
    cold["group"] = detail["group"]
    raw_store32(core.accounts.cold, handle, _COLD_FIRM,
                raw_load32(core.burst.details, idx, _DETAIL_FIRM))
    return np.int64(APPLY)


@later(I64(CORE, I64), **INLINE)
def _not_live(core, idx):
    """Finds the order that Cancel or Modify names: command.target, or 0 and counted."""
    command = core.burst.commands[idx]
    target = find_order(core.book, core.accounts, np.int64(command["account"]),
                        np.int64(core.burst.details[idx]["user_ref_num"]))
    command["target"] = np.uint32(target)
    if target == 0:
        core.counters[_CANCELS_IGNORED] += _ONE
    return np.int64(target == 0)


@later(VOID(CORE, I64), **INLINE)
def _turn_into_cancel(core, idx):
    """A Replace that cannot be: its target is cancelled whole, reason U."""
    command = core.burst.commands[idx]
    command["kind"], command["tif"], command["qty"] = np.uint8(CANCEL), np.uint8(0), np.uint32(0)


@later(I64(CORE, I64), **INLINE)
def open_of(core, handle):
    """Shares of a live order that can still trade, its reserve included."""
    order = core.book.orders[handle]
    shares = np.int64(order["qty"])
    if np.int64(order["level"]) & EXTRA_BIT != 0:
        shares += np.int64(core.book.extras[handle]["reserve"])
    return shares


@later(I64(CORE, I64, I64, I64), **INNER)
def _fit_target(core, idx, target, open_qty):
    """Whether a Replace suits the order it replaces; then its command has side, symbol and ticks.

    open_qty: shares that the new order would have.
    """
    command, detail = core.burst.commands[idx], core.burst.details[idx]
    old = core.accounts.cold[target]
    symbol, side = np.int64(old["symbol"]), np.int64(old["side_letter"] != codes.SIDE_BUY)
    cross, flags = np.int64(old["cross"]), np.int64(command["flags"])
    units = np.int64(command["price_ticks"])
    tick = np.int64(core.book.symbols[symbol]["tick_size"])
    ticks, is_market = units // tick, flags & MARKET != 0
    if detail["reject"] != 0 or (not is_market and ticks * tick != units) or open_qty <= 0:
        return np.int64(0)
    if cross != codes.CROSS_CONTINUOUS:
        if np.int64(detail["tif_letter"]) == codes.TIF_GOOD_TILL_TIME \
                or against_cross(core.burst.commands, core.burst.details, idx, cross) != 0:
            return np.int64(0)
        flags |= AUCTION | ON_CLOSE if cross == _CLOSING else AUCTION
    elif np.int64(detail["display"]) == codes.DISPLAY_HIDDEN:
        flags |= HIDDEN
    if is_market:
        ticks = np.int64(codes.PRICE_MARKET) if side == 0 else np.int64(0)
    command["flags"], command["side"] = np.uint8(flags), np.uint8(side)
    command["symbol"], command["price_ticks"] = np.uint16(symbol), np.int32(ticks)
    return np.int64(1)


@later(I64(CORE, I64, I64), **INLINE)
def _replace_refused(core, account, target):
    """The reject code of a Replace that must leave its target alone now, or 0."""
    phase = np.int64(core.book.engine[0]["phase"])
    if phase != PHASE_OPEN and phase != PHASE_PRE_OPEN:
        return np.int64(codes.REJECT_DESTINATION_CLOSED)
    if core.accounts.sessions[account]["disabled"] != 0:
        return np.int64(codes.REJECT_FIRM_NOT_AUTHORISED)
    old = core.accounts.cold[target]
    state = np.int64(core.book.symbols[np.int64(old["symbol"])]["state"])
    return _state_refuses(state, np.int64(old["cross"]))


@later(I64(CORE, I64), **INNER)
def replace(core, idx):
    """Checks a Replace; one with impossible details becomes the cancel of its target."""
    command, detail = core.burst.commands[idx], core.burst.details[idx]
    account, number = np.int64(command["account"]), np.int64(detail["user_ref_num"])
    session = core.accounts.sessions[account]
    if number <= np.int64(session["last_user_ref"]):
        core.counters[_STALE] += _ONE
        return np.int64(IGNORED)
    target = find_order(core.book, core.accounts, account, np.int64(detail["orig_user_ref_num"]))
    if target == 0:
        core.counters[_CANCELS_IGNORED] += _ONE
        return np.int64(IGNORED)
    code = over_rate(core, account)
    if code == 0:
        code = _replace_refused(core, account, target)
    if code != 0:
        session["last_user_ref"] = np.uint32(number)
        return code
    command["target"] = np.uint32(target)
    executed = np.int64(core.book.orders[target]["total"]) - open_of(core, target)
    open_qty = np.int64(command["qty"]) - executed
    if _fit_target(core, idx, target, open_qty) == 0:
        _turn_into_cancel(core, idx)
        return np.int64(APPLY)
    session["last_user_ref"] = np.uint32(number)
    if is_guarded(core, account, np.int64(command["symbol"])) != 0:
        code = judge(core, account, np.int64(command["symbol"]), np.int64(command["side"]),
                     np.int64(command["price_ticks"]), open_qty, open_of(core, target))
        if code != 0:
            return code
    code = _pools(core, account, number, open_qty, np.int64(detail["max_floor"]))
    if code != APPLY:
        return code
    handle = take(core.accounts, core.book.engine, account, number)
    command["order"] = np.uint32(handle)
    _remember(core, idx, handle, open_qty)
    cold, old = core.accounts.cold[handle], core.accounts.cold[target]
    cold["side_letter"], cold["capacity"] = old["side_letter"], old["capacity"]
    cold["cross"], cold["customer"] = old["cross"], old["customer"]
    cold["located"], cold["group"] = old["located"], old["group"]
    cold["present"] = np.uint8((np.int64(old["present"]) & _CHAIN_TAGS)
                               | (np.int64(detail["present"]) & _OWN_TAGS))
    raw_store32(core.accounts.cold, handle, _COLD_FIRM,
                raw_load32(core.accounts.cold, target, _COLD_FIRM))
    return np.int64(APPLY)


@later(I64(CORE, I64), **INLINE)
def cancel(core, idx):
    """Checks a Cancel: the order is live and its intended total gets smaller."""
    if _not_live(core, idx) != 0:
        return np.int64(IGNORED)
    command = core.burst.commands[idx]
    if command["qty"] >= core.book.orders[np.int64(command["target"])]["total"]:
        core.counters[_CANCELS_IGNORED] += _ONE
        return np.int64(IGNORED)
    return np.int64(APPLY)


@later(I64(CORE, I64, I64), **INNER)
def _may_grow(core, target, more):
    """Whether the risk limits let a live order have so many shares more."""
    cold, shares = core.accounts.cold[target], open_of(core, target)
    account, symbol = np.int64(cold["account"]), np.int64(cold["symbol"])
    if is_guarded(core, account, symbol) == 0:
        return np.int64(1)
    side, ticks = np.int64(cold["side_letter"] != codes.SIDE_BUY), np.int64(cold["price_ticks"])
    return np.int64(judge(core, account, symbol, side, ticks, shares + more, shares) == 0)


@later(I64(CORE, I64), **INNER)
def modify(core, idx):
    """Checks a Modify and gives the order its new side letter.

    A floor below the shares that would be open makes the command one of a RESERVE order. One that
    the risk limits do not let grow is ignored, as OUCH has no refusal for it.
    """
    if _not_live(core, idx) != 0:
        return np.int64(IGNORED)
    command = core.burst.commands[idx]
    target, qty = np.int64(command["target"]), np.int64(command["qty"])
    cold = core.accounts.cold[target]
    old, new = np.int64(cold["side_letter"]), np.int64(core.burst.details[idx]["side_letter"])
    allowed = old == new or (old == _S and (new == _E or new == _T)) or (old == _E and new == _T)
    total = np.int64(core.book.orders[target]["total"])
    floor = np.int64(cold["max_floor"])
    if not allowed or (qty > total and (qty > codes.QUANTITY_MAX
                                        or (floor > 0 and _has_chunks(core, qty, floor) == 0)
                                        or _may_grow(core, target, qty - total) == 0)):
        core.counters[_CANCELS_IGNORED] += _ONE
        return np.int64(IGNORED)
    cold["side_letter"] = np.uint8(new)
    if floor != 0 and floor < qty - (total - open_of(core, target)):
        command["flags"], command["min_qty"] = np.uint8(RESERVE), np.uint32(floor)
    return np.int64(APPLY)

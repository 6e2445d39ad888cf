"""What happens to a whole account or to the day: cancels in bulk, login, logout, start and end.

Cancels in bulk run through the account's pages, oldest first, so orders leave by UserRefNum. Here
nothing touches the book: `engine` turns what these functions say into CANCEL commands.
"""

import numpy as np

from appliance.hot.admit import PHASE_BEFORE, PHASE_CLOSED, PHASE_OPEN, PHASE_PRE_OPEN
from appliance.hot.feed import directory, trading_action
from appliance.hot.feed import system_event as feed_event
from appliance.hot.grace import begin_grace, end_grace
from appliance.hot.kernel import later
from appliance.hot.raw import raw_load16, raw_load32, raw_load64, raw_store16, raw_store32
from appliance.hot.reports import system_event as account_event
from appliance.hot.throttle import count_expulsion, forget_refusals
from appliance.hot.tokens import insert_token, remove_token
from appliance.hot.types import CORE, I64, INNER, U64, VOID
from appliance.layout import codes
from appliance.layout.record import CANCEL, DETAIL, DISCONNECT, OPENS_LATER, TAG_GROUP
from appliance.layout.shared import COUNTER_INDEX, SESSION, SESSION_ENDED, SESSION_LIVE

_ONE = np.uint64(1)
_CANCEL_KIND, _NONE = np.uint8(CANCEL), np.uint32(0)
_LOGINS, _DISCONNECTS = COUNTER_INDEX["logins"], COUNTER_INDEX["disconnects"]
_SPACES8 = np.uint64(0x2020202020202020)
_DETAIL_MAC, _SESSION_MAC = DETAIL["mac"].off, SESSION["mac"].off
_DETAIL_TOKEN, _DETAIL_SYMBOL = DETAIL["clordid"].off, DETAIL["symbol_text"].off
_BYTE = np.uint64(8)
_LOW_BYTE = np.uint64(255)


@later(I64(CORE, I64, I64), **INNER)
def _is_wanted(core, handle, idx):
    """Whether Mass Cancel in burst record idx means this order (symbol, group, side letter)."""
    cold, detail = core.accounts.cold[handle], core.burst.details[idx]
    if raw_load64(core.burst.details, idx, _DETAIL_SYMBOL) != _SPACES8 \
            and cold["symbol"] != core.burst.commands[idx]["symbol"]:
        return np.int64(0)
    if np.int64(detail["present"]) & TAG_GROUP != 0 \
            and (np.int64(cold["present"]) & TAG_GROUP == 0 or cold["group"] != detail["group"]):
        return np.int64(0)
    letter = np.int64(detail["side_letter"])
    return np.int64(letter == 0 or letter == np.int64(cold["side_letter"]))


@later(I64(CORE, I64, I64, I64), **INNER)
def next_order(core, idx, account, handle):
    """Next live order by UserRefNum of the account after `handle` (0: its first), 0 when none.

    idx >= 0: only orders that the filters of Mass Cancel in burst record idx mean. The page of
    `handle` may have been given back since; its link to the next page holds until a page is taken.
    """
    page = handle >> 8
    if handle == 0:
        page = np.int64(core.accounts.sessions[account]["first_page"])
        handle = (page << 8) - 1
    while page != 0:
        if core.accounts.pages[page]["live_cnt"] != 0:
            for following in range(handle + 1, (page + 1) << 8):
                if core.book.orders[following]["qty"] != 0 \
                        and (idx < 0 or _is_wanted(core, following, idx) != 0):
                    return following
        page = np.int64(core.accounts.pages[page]["next"])
        handle = (page << 8) - 1
    return np.int64(0)


@later(VOID(CORE, I64, I64, I64, I64), **INNER)
def make_cancel(core, slot, account, handle, reason):
    """Makes burst record `slot` the cancel of a whole live order."""
    command = core.burst.commands[slot]
    command["kind"], command["tif"], command["flags"] = _CANCEL_KIND, np.uint8(reason), np.uint8(0)
    command["order"], command["qty"], command["target"] = _NONE, _NONE, np.uint32(handle)
    command["account"] = np.uint16(account)


@later(U64(CORE, I64, I64, I64), **INNER)
def _token_word(core, idx, first, count):
    """`count` bytes of the token of burst record idx as a big-endian number."""
    word = np.uint64(0)
    for byte in range(first, first + count):
        low = raw_load16(core.burst.details, idx, _DETAIL_TOKEN + byte) & _LOW_BYTE
        word = (word << _BYTE) | low
    return word


@later(VOID(CORE, I64), **INNER)
def login(core, idx):
    """Binds the account to the token and source in burst record idx; see layout/record.py, DETAIL.

    An earlier live session of the account is replaced. The same token from the same source again
    changes nothing.
    """
    detail, account = core.burst.details[idx], np.int64(core.burst.commands[idx]["account"])
    session, time_ns = core.accounts.sessions[account], core.book.engine[0]["time_ns"]
    token_hi, token_lo = _token_word(core, idx, 0, 8), _token_word(core, idx, 8, 2)
    if session["state"] == SESSION_LIVE:
        if session["token_hi"] == token_hi and session["token_lo"] == token_lo \
                and session["ip"] == detail["ip"] and session["udp_port"] == detail["udp_port"]:
            return
        forget_refusals(core, account)
        remove_token(core.accounts, account)
    end_grace(core, account)
    session["state"] = np.uint32(SESSION_LIVE)
    session["epoch"] += np.uint32(1)
    session["token_hi"], session["token_lo"] = token_hi, token_lo
    session["ip"], session["udp_port"] = detail["ip"], detail["udp_port"]
    raw_store32(core.accounts.sessions, account, _SESSION_MAC,
                raw_load32(core.burst.details, idx, _DETAIL_MAC))
    raw_store16(core.accounts.sessions, account, _SESSION_MAC + 4,
                raw_load16(core.burst.details, idx, _DETAIL_MAC + 4))
    insert_token(core.accounts, account)
    session["next_upstream_seq"] = _ONE
    session["gap_ns"], session["asked_ns"], session["gap_end_seq"] = (
        np.uint64(0), np.uint64(0), np.uint64(0))
    session["heard_ns"], session["sent_ns"] = time_ns, time_ns
    session["asked_down_ns"], session["ended_cnt"] = np.uint64(0), np.uint32(0)
    cursor = detail["upstream_seq"]
    if cursor < _ONE or cursor > session["next_seq"]:
        cursor = session["next_seq"]
    session["sent_seq"], session["login_seq"] = cursor, cursor
    session["dirty"] = np.uint32(1)
    core.counters[_LOGINS] += _ONE


@later(I64(CORE, I64, I64), **INNER)
def logout(core, account, kind):
    """Ends the account's live session; 1 when its orders are to be cancelled now.

    kind: LOGOUT, or DISCONNECT of a session that was lost, which has its grace, or expelled.
    """
    session = core.accounts.sessions[account]
    if session["state"] != SESSION_LIVE:
        return np.int64(0)
    expelled = forget_refusals(core, account)
    remove_token(core.accounts, account)
    session["state"] = np.uint32(SESSION_ENDED)
    session["token_hi"], session["token_lo"] = np.uint64(0), np.uint64(0)
    core.counters[_DISCONNECTS] += _ONE
    if kind == DISCONNECT and expelled != 0:
        count_expulsion(core, account)
    elif kind == DISCONNECT and session["cancel_on_disconnect"] != 0 and session["grace_ms"] != 0:
        begin_grace(core, account)
        return np.int64(0)
    return np.int64(session["cancel_on_disconnect"] != 0)


@later(VOID(CORE, I64), **INNER)
def start_day(core, idx):
    """Starts the day, and opens the market unless burst record idx says OPENS_LATER.

    Nothing when the day was started before.
    """
    engine = core.book.engine[0]
    if np.int64(engine["phase"]) != PHASE_BEFORE:
        return
    feed_event(core, codes.EVENT_START_OF_MESSAGES)
    for symbol in range(np.int64(engine["symbol_cnt"])):
        directory(core, symbol)
    for symbol in range(np.int64(engine["symbol_cnt"])):
        trading_action(core, symbol)
    feed_event(core, codes.EVENT_START_OF_SYSTEM_HOURS)
    engine["phase"] = np.uint64(PHASE_PRE_OPEN)
    if np.int64(core.burst.commands[idx]["flags"]) & OPENS_LATER == 0:
        open_market(core)
    for account in range(np.int64(engine["account_cnt"])):
        account_event(core, account, codes.DAY_EVENT_START_OF_DAY)


@later(VOID(CORE), **INNER)
def open_market(core):
    """Orders are taken from here on; nothing unless the day is before its open."""
    engine = core.book.engine[0]
    if np.int64(engine["phase"]) == PHASE_PRE_OPEN:
        feed_event(core, codes.EVENT_START_OF_MARKET_HOURS)
        engine["phase"] = np.uint64(PHASE_OPEN)


@later(I64(CORE), **INNER)
def begin_end_of_day(core):
    """Ends a day's market hours; 1 when the day had started and its orders are to leave now."""
    phase = np.int64(core.book.engine[0]["phase"])
    if phase == PHASE_OPEN:
        feed_event(core, codes.EVENT_END_OF_MARKET_HOURS)
    return np.int64(phase == PHASE_OPEN or phase == PHASE_PRE_OPEN)


@later(VOID(CORE), **INNER)
def finish_day(core):
    """Closes the day once every order has left."""
    engine = core.book.engine[0]
    feed_event(core, codes.EVENT_END_OF_SYSTEM_HOURS)
    feed_event(core, codes.EVENT_END_OF_MESSAGES)
    for account in range(np.int64(engine["account_cnt"])):
        account_event(core, account, codes.DAY_EVENT_END_OF_DAY)
    engine["phase"] = np.uint64(PHASE_CLOSED)

"""OUCH 5.0 in: a message becomes a command and its detail, with every check that needs no state.

`decode` writes burst.commands[idx] and details[idx] whole. kind is the message's own, or REJECT
(structure wrong, a `J` is due), or IGNORE (no answer, counted). detail.reject is the first failing
check of rules that look at the message, the symbols or the account's settings alone; `admit` puts
those in front that look at the state. A REPLACE does not name its symbol: its command carries the
price in units of 0.0001 (2147483647 with MARKET) until admission turns it into ticks.
"""

import numpy as np

from appliance.hot.appendage import names_other_counter, structure, tags_of_account
from appliance.hot.codec_order import decode_enter, decode_replace, malformed
from appliance.hot.endian import load_be32, load_le32, load_le64
from appliance.hot.fence import prefetch
from appliance.hot.kernel import later
from appliance.hot.pages import find_page
from appliance.hot.raw import raw_load32, raw_store32, raw_store64
from appliance.hot.symbols import find_symbol
from appliance.hot.types import (
    BYTES, COMMANDS, CORE, COUNTERS, DETAILS, I64, INNER, KERNEL, SESSIONS, SYMBOLS, VOID,
)
from appliance.layout import codes
from appliance.layout.record import (
    CANCEL, COMMAND, DETAIL, DISABLE, ENABLE, ENTER, IGNORE, MASS_CANCEL, MODIFY, QUERY, REPLACE,
)
from appliance.layout.shared import COUNTER_INDEX, SESSION
from appliance.layout.wire_ouch import OUCH_IN

_ONE = np.uint64(1)
_UNKNOWN, _SHORT = COUNTER_INDEX["messages_unknown"], COUNTER_INDEX["messages_short"]
_O, _U, _X, _M, _Q, _C, _D, _E = (ord(letter) for letter in "OUXMQCDE")
_ENTER, _REPLACE, _CANCEL = OUCH_IN["O"], OUCH_IN["U"], OUCH_IN["X"]
_MODIFY, _QUERY, _MASS, _ABLE = OUCH_IN["M"], OUCH_IN["Q"], OUCH_IN["C"], OUCH_IN["D"]
_CANCEL_SZ = _CANCEL.size
_MODIFY_SZ, _QUERY_SZ, _MASS_SZ, _ABLE_SZ = _MODIFY.size, _QUERY.size, _MASS.size, _ABLE.size

_REF = _ENTER["user_ref_num"].off                 # also of X M C D E
_REF_END = _REF + 4
_ORIG_REF, _NEW_REF = _REPLACE["orig_user_ref_num"].off, _REPLACE["user_ref_num"].off
_NEW_REF_END = _NEW_REF + 4
_X_QTY, _M_SIDE, _M_QTY = _CANCEL["quantity"].off, _MODIFY["side"].off, _MODIFY["quantity"].off
_C_FIRM, _C_SYMBOL, _C_APPENDAGE = (_MASS["firm"].off, _MASS["symbol"].off,
                                    _MASS["appendage_length"].off)
_D_FIRM, _D_APPENDAGE = _ABLE["firm"].off, _ABLE["appendage_length"].off

_COMMAND_WORDS, _DETAIL_WORDS = COMMAND.size // 8, DETAIL.size // 8
_D_CLORDID, _D_SYMBOL, _DETAIL_FIRM = (DETAIL["clordid"].off, DETAIL["symbol_text"].off,
                                       DETAIL["firm"].off)
_SPACES8, _SPACES4 = np.uint64(0x2020202020202020), np.uint64(0x20202020)
_SESSION_FIRM = SESSION["default_firm"].off


@later(VOID(BYTES, I64, I64, I64, I64, COMMANDS, DETAILS), **INNER)
def _decode_existing(frames, off, length, fixed_sz, idx, commands, details):
    """Cancel and Modify. A UserRefIdx other than 0 names an order that is not there: number 0."""
    command, detail = commands[idx], details[idx]
    if length > fixed_sz and not structure(frames, off + fixed_sz, off + length):
        command["kind"] = np.uint8(IGNORE)
        return
    if length <= fixed_sz + 2 or not names_other_counter(frames, off + fixed_sz + 2, off + length):
        detail["user_ref_num"] = np.uint32(load_be32(frames, off + _REF))
    if fixed_sz == _CANCEL_SZ:
        command["kind"] = np.uint8(CANCEL)
        command["qty"] = np.uint32(load_be32(frames, off + _X_QTY))
    else:
        command["kind"] = np.uint8(MODIFY)
        command["qty"] = np.uint32(load_be32(frames, off + _M_QTY))
        detail["side_letter"] = frames[off + _M_SIDE]


@later(I64(BYTES, I64, DETAILS, I64, SESSIONS, I64), **INNER)
def _firm(frames, place, details, idx, sessions, account):
    """Copies the firm at `place`; reject code when it is neither blank nor the account's."""
    firm = load_le32(frames, place)
    raw_store32(details, idx, _DETAIL_FIRM, firm)
    if firm != _SPACES4 and firm != raw_load32(sessions, account, _SESSION_FIRM):
        return np.int64(codes.REJECT_FIRM_NOT_AUTHORISED)
    return np.int64(0)


@later(VOID(BYTES, I64, I64, I64, I64, COMMANDS, DETAILS, SESSIONS, SYMBOLS), **INNER)
def _decode_mass_cancel(frames, off, length, account, idx, commands, details, sessions, symbols):
    if length < _MASS_SZ or not structure(frames, off + _C_APPENDAGE, off + length):
        malformed(commands, details, idx)
        return
    command, detail = commands[idx], details[idx]
    command["kind"] = np.uint8(MASS_CANCEL)
    name = load_le64(frames, off + _C_SYMBOL)
    raw_store64(details, idx, _D_SYMBOL, name)
    code = _firm(frames, off + _C_FIRM, details, idx, sessions, account)
    if code == 0 and name != _SPACES8:
        symbol = find_symbol(symbols, name)
        if symbol < 0:
            code = np.int64(codes.REJECT_INVALID_SYMBOL)
        else:
            command["symbol"] = np.uint16(symbol)
    if code == 0:
        code = tags_of_account(frames, off + _MASS_SZ, off + length, details, idx, np.int64(1))
    detail["reject"] = np.uint16(code)


@later(VOID(BYTES, I64, I64, I64, I64, I64, COMMANDS, DETAILS, SESSIONS), **INNER)
def _decode_able(frames, off, length, kind, account, idx, commands, details, sessions):
    """Disable and Enable."""
    if length < _ABLE_SZ or not structure(frames, off + _D_APPENDAGE, off + length):
        malformed(commands, details, idx)
        return
    commands[idx]["kind"] = np.uint8(kind)
    code = _firm(frames, off + _D_FIRM, details, idx, sessions, account)
    if code == 0:
        code = tags_of_account(frames, off + _ABLE_SZ, off + length, details, idx, np.int64(0))
    details[idx]["reject"] = np.uint16(code)


@later(VOID(BYTES, I64, I64, I64, I64, COMMANDS, DETAILS, SESSIONS, SYMBOLS, COUNTERS), **INNER)
def _decode(frames, off, length, account, idx, commands, details, sessions, symbols, counters):
    """decode without the prefetching, on the few arrays it needs."""
    for word in range(_COMMAND_WORDS):
        raw_store64(commands, idx, 8 * word, np.uint64(0))
    for word in range(_DETAIL_WORDS):
        raw_store64(details, idx, 8 * word, np.uint64(0))
    command, detail = commands[idx], details[idx]
    command["account"] = np.uint16(account)
    raw_store64(details, idx, _D_CLORDID, _SPACES8)
    raw_store64(details, idx, _D_CLORDID + 6, _SPACES8)
    letter = np.int64(frames[off]) if length > 0 else np.int64(0)
    if letter == _O and length >= _REF_END:
        detail["user_ref_num"] = np.uint32(load_be32(frames, off + _REF))
        decode_enter(frames, off, length, account, idx, commands, details, sessions, symbols)
    elif letter == _X and (length == _CANCEL_SZ or length >= _CANCEL_SZ + 2):
        _decode_existing(frames, off, length, np.int64(_CANCEL_SZ), idx, commands, details)
    elif letter == _U and length >= _NEW_REF_END:
        detail["orig_user_ref_num"] = np.uint32(load_be32(frames, off + _ORIG_REF))
        detail["user_ref_num"] = np.uint32(load_be32(frames, off + _NEW_REF))
        decode_replace(frames, off, length, account, idx, commands, details, sessions)
    elif letter == _M and (length == _MODIFY_SZ or length >= _MODIFY_SZ + 2):
        _decode_existing(frames, off, length, np.int64(_MODIFY_SZ), idx, commands, details)
    elif letter == _Q and (length == _QUERY_SZ or structure(frames, off + _QUERY_SZ, off + length)):
        if length <= _QUERY_SZ + 2 \
                or not names_other_counter(frames, off + _QUERY_SZ + 2, off + length):
            command["kind"] = np.uint8(QUERY)
        else:
            command["kind"] = np.uint8(IGNORE)     # of a counter that nobody has: no answer
            return
    elif letter == _C and length >= _REF_END:
        detail["user_ref_num"] = np.uint32(load_be32(frames, off + _REF))
        _decode_mass_cancel(frames, off, length, account, idx, commands, details, sessions, symbols)
    elif (letter == _D or letter == _E) and length >= _REF_END:
        detail["user_ref_num"] = np.uint32(load_be32(frames, off + _REF))
        kind = np.int64(DISABLE) if letter == _D else np.int64(ENABLE)
        _decode_able(frames, off, length, kind, account, idx, commands, details, sessions)
    elif length > 0 and letter != _O and letter != _U and letter != _X and letter != _M \
            and letter != _Q and letter != _C and letter != _D and letter != _E:
        command["kind"] = np.uint8(IGNORE)
        counters[_UNKNOWN] += _ONE
        return
    else:
        command["kind"] = np.uint8(IGNORE)
    if command["kind"] == IGNORE:
        counters[_SHORT] += _ONE


@later(VOID(CORE, BYTES, I64, I64, I64, I64), forceinline=True, **KERNEL)
def decode(core, frames, off, length, account, idx):
    """Makes burst record idx of the OUCH message frames[off:off+length] of `account`.

    Reads nothing outside those bytes and changes no state but the burst and two counters. Asks for
    the memory that admission and matching will touch.
    """
    book, accounts = core.book, core.accounts
    _decode(frames, off, length, account, idx, core.burst.commands, core.burst.details,
            accounts.sessions, book.symbols, core.counters)
    command, detail = core.burst.commands[idx], core.burst.details[idx]
    kind, number = np.int64(command["kind"]), np.int64(detail["user_ref_num"])
    if kind == ENTER:
        page = np.int64(accounts.sessions[account]["last_page"])
        owner = np.int64(command["symbol"]) * 2 + np.int64(command["side"])
        prefetch(book.sides, owner)
    elif kind == CANCEL or kind == MODIFY:
        page = find_page(accounts, account, number >> 8)
    elif kind == REPLACE:
        old = np.int64(detail["orig_user_ref_num"])
        page = find_page(accounts, account, old >> 8)
        number = old
    else:
        return
    handle = (page << 8) | (number & 255)
    prefetch(book.orders, handle)
    prefetch(accounts.cold, handle)

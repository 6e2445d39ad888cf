"""ITCH 5.0 out, trades that are no plain execution: P, C, Q, I and B (wire-spec 3).

Messages as in `feed`, which explains the arguments.
"""

import numpy as np

from appliance.hot.endian import store_be32, store_be64, store_le64
from appliance.hot.feed import begin, begin_order
from appliance.hot.kernel import later
from appliance.hot.raw import raw_load64
from appliance.hot.reports import wire_number, wire_price
from appliance.hot.types import CORE, I64, INNER, U64, VOID
from appliance.layout import codes
from appliance.layout.record import SYMBOL
from appliance.layout.wire_itch import ITCH

_TRADE, _PRICED, _CROSS, _BROKEN, _NOII = (ITCH[letter] for letter in "PCQBI")
_TRADE_SZ, _P_REF, _P_SIDE = (_TRADE.size, _TRADE["order_reference_number"].off,
                              _TRADE["buy_sell_indicator"].off)
_P_QTY, _P_STOCK, _P_PRICE, _P_MATCH = (_TRADE["shares"].off, _TRADE["stock"].off,
                                        _TRADE["price"].off, _TRADE["match_number"].off)
_PRICED_SZ, _C_QTY, _C_MATCH = (_PRICED.size, _PRICED["executed_shares"].off,
                                _PRICED["match_number"].off)
_C_PRINTABLE, _C_PRICE = _PRICED["printable"].off, _PRICED["execution_price"].off
_CROSS_SZ, _Q_QTY, _Q_STOCK = _CROSS.size, _CROSS["shares"].off, _CROSS["stock"].off
_Q_PRICE, _Q_MATCH, _Q_TYPE = (_CROSS["cross_price"].off, _CROSS["match_number"].off,
                               _CROSS["cross_type"].off)
_BROKEN_SZ, _B_MATCH = _BROKEN.size, _BROKEN["match_number"].off
_NOII_SZ, _I_PAIRED, _I_IMBALANCE = (_NOII.size, _NOII["paired_shares"].off,
                                     _NOII["imbalance_shares"].off)
_I_DIRECTION, _I_STOCK, _I_FAR = (_NOII["imbalance_direction"].off, _NOII["stock"].off,
                                  _NOII["far_price"].off)
_I_NEAR, _I_REFERENCE = _NOII["near_price"].off, _NOII["current_reference_price"].off
_I_TYPE, _I_VARIATION = _NOII["cross_type"].off, _NOII["variation_indicator"].off
_NAME = SYMBOL["name"].off


@later(I64(CORE, I64), **INNER)
def _locate(core, symbol):
    return np.int64(core.book.symbols[symbol]["locate"])


@later(VOID(CORE, I64, I64, I64), **INNER)
def _put_stock(core, symbol, place, off):
    store_le64(core.feed.ring, place + off, raw_load64(core.book.symbols, symbol, _NAME))


@later(VOID(CORE, I64, I64, I64, U64), **INNER)
def traded(core, symbol, qty, price_ticks, match):
    """`P`: a trade with an order that the feed never showed."""
    ring, place = core.feed.ring, begin(core, _TRADE_SZ, ord("P"), _locate(core, symbol))
    store_be64(ring, place + _P_REF, 0)
    ring[place + _P_SIDE] = np.uint8(codes.BOOK_BUY)
    store_be32(ring, place + _P_QTY, qty)
    _put_stock(core, symbol, place, _P_STOCK)
    store_be32(ring, place + _P_PRICE, wire_price(core, symbol, price_ticks))
    store_be64(ring, place + _P_MATCH, wire_number(core, match))


@later(VOID(CORE, I64, I64, I64, U64), **INNER)
def executed_at(core, handle, qty, price_ticks, match):
    """`C`: a shown order traded in a cross, whose shares the `Q` counts."""
    ring, place = core.feed.ring, begin_order(core, _PRICED_SZ, ord("C"), handle)
    symbol = np.int64(core.accounts.cold[handle]["symbol"])
    store_be32(ring, place + _C_QTY, qty)
    store_be64(ring, place + _C_MATCH, wire_number(core, match))
    ring[place + _C_PRINTABLE] = np.uint8(codes.PRINTABLE_NO)
    store_be32(ring, place + _C_PRICE, wire_price(core, symbol, price_ticks))


@later(VOID(CORE, I64, I64, I64, U64, I64), **INNER)
def crossed(core, symbol, shares, price_ticks, match, letter):
    """`Q`: all that a cross of this letter (O, C, H) traded."""
    ring, place = core.feed.ring, begin(core, _CROSS_SZ, ord("Q"), _locate(core, symbol))
    store_be64(ring, place + _Q_QTY, shares)
    _put_stock(core, symbol, place, _Q_STOCK)
    store_be32(ring, place + _Q_PRICE, wire_price(core, symbol, price_ticks))
    store_be64(ring, place + _Q_MATCH, wire_number(core, match))
    ring[place + _Q_TYPE] = np.uint8(letter)


@later(VOID(CORE, I64, U64), **INNER)
def broken(core, symbol, match):
    """`B`: an earlier trade does not hold."""
    place = begin(core, _BROKEN_SZ, ord("B"), _locate(core, symbol))
    store_be64(core.feed.ring, place + _B_MATCH, wire_number(core, match))


@later(VOID(CORE, I64, I64, I64, I64, I64, I64, I64, I64, I64), **INNER)
def imbalance(core, symbol, letter, paired, unpaired, direction, far, near, reference, variation):
    """`I`: what a cross of this letter would do now. Shares; prices in ticks; letters."""
    ring, place = core.feed.ring, begin(core, _NOII_SZ, ord("I"), _locate(core, symbol))
    store_be64(ring, place + _I_PAIRED, paired)
    store_be64(ring, place + _I_IMBALANCE, unpaired)
    ring[place + _I_DIRECTION] = np.uint8(direction)
    _put_stock(core, symbol, place, _I_STOCK)
    store_be32(ring, place + _I_FAR, wire_price(core, symbol, far))
    store_be32(ring, place + _I_NEAR, wire_price(core, symbol, near))
    store_be32(ring, place + _I_REFERENCE, wire_price(core, symbol, reference))
    ring[place + _I_TYPE], ring[place + _I_VARIATION] = np.uint8(letter), np.uint8(variation)

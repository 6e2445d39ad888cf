"""Finding a symbol's index by its name: a short table is read through, a long one is hashed.

The hash lies in the symbol records' own spare bytes: bucket b begins with record b's `head` word
(index + 1, 0 none), a chain goes on by each record's `next` word. `index_symbols` builds it once,
cold, when the table is filled; without it the table is read through, whatever its length.
"""

import numpy as np

from appliance.hot.kernel import later
from appliance.hot.raw import raw_load16, raw_load64
from appliance.hot.types import I64, INNER, KERNEL, SYMBOLS, U64
from appliance.layout.record import SYMBOL

_NAME = SYMBOL["name"].off
_HEAD, _NEXT, _INDEXED = SYMBOL.size - 8, SYMBOL.size - 6, SYMBOL.size - 4   # in SYMBOL.rest
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MIX = np.uint64(0x9E3779B1)
_ZERO = np.uint64(0)


@later(I64(SYMBOLS, U64), **KERNEL)
def bucket_of(symbols, name):
    """Bucket of a name (its 8 bytes as a little-endian word)."""
    folded = ((name & _LOW) ^ (name >> _HALF)) * _MIX & _LOW
    return np.int64((folded * np.uint64(symbols.size)) >> _HALF)


@later(I64(SYMBOLS, U64), **INNER)
def find_symbol(symbols, name):
    """Index of the symbol of this name (8 bytes as a little-endian word), -1 when there is none."""
    if name == _ZERO:
        return np.int64(-1)
    if raw_load16(symbols, 0, _INDEXED) == _ZERO:
        for symbol in range(symbols.size):
            if raw_load64(symbols, symbol, _NAME) == name:
                return np.int64(symbol)
        return np.int64(-1)
    symbol = np.int64(raw_load16(symbols, bucket_of(symbols, name), _HEAD)) - 1
    while symbol >= 0 and raw_load64(symbols, symbol, _NAME) != name:
        symbol = np.int64(raw_load16(symbols, symbol, _NEXT)) - 1
    return symbol


def index_symbols(symbols) -> None:
    """Builds the hash over a filled symbol table; to be called again when names change."""
    words = symbols.view(np.uint8).reshape(symbols.size, SYMBOL.size).view(np.uint16)
    words[:, _HEAD // 2:] = 0
    if symbols.size < 8:
        return
    for symbol in range(symbols.size):
        name = np.uint64(int.from_bytes(symbols[symbol]["name"].tobytes(), "little"))
        bucket = int(bucket_of(symbols, name))
        words[symbol, _NEXT // 2] = words[bucket, _HEAD // 2]
        words[bucket, _HEAD // 2] = symbol + 1
    words[0, _INDEXED // 2] = 1

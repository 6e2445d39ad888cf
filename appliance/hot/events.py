"""Writing an event: one record of 32 bytes in four stores, whatever its kind.

Ten stores of single fields cost more than the matching they report. So the fields are put together
in registers and the record goes out as four words; `word_stores` is the only place that knows
EVENT by offset, and checks them at import.
"""

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..layout.record import EVENT
from .kernel import inlined, kernel

_OFFSETS = {"kind": 0, "side": 1, "reason": 2, "flags": 3, "order": 4, "resting": 8, "qty": 12,
            "price_ticks": 16, "left": 20, "number": 24}
assert EVENT.size == 32 and {f.name: f.off for f in EVENT.fields} == _OFFSETS, (
    "put_event writes these fields at these offsets and covers the whole record")

_LOW = 0xFFFF_FFFF


def plain_word_stores(records, idx, first, second, third, fourth):
    """The four 64-bit words of records[idx], the twin of the intrinsic."""
    if not 0 <= idx < len(records):
        raise IndexError(f"record {idx} of {len(records)}")
    records[idx:idx + 1].view(np.uint64)[:] = (first, second, third, fourth)


def _word_stores(typingctx, records, idx, first, second, third, fourth):
    words = (first, second, third, fourth)
    if not (isinstance(records, types.Array) and isinstance(records.dtype, types.Record)
            and records.dtype.size == 32 and records.layout == "C" and idx == types.int64
            and all(word == types.uint64 for word in words)):
        return None

    def codegen(context, builder, signature, arguments):
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(context, builder, signature.args[0], view,
                                           [arguments[1]], wraparound=False,
                                           boundscheck=context.enable_boundscheck)
        pointer = builder.bitcast(pointer, ir.IntType(64).as_pointer())
        for place, word in enumerate(arguments[2:]):
            builder.store(word, builder.gep(pointer, [ir.IntType(64)(place)]), align=8)
        return context.get_dummy_value()

    return types.void(records, idx, *words), codegen


word_stores = plain_word_stores if config.DISABLE_JIT else intrinsic(_word_stores)


@inlined
def put_event(events, event_cnt, kind, side, reason, flags, order, resting, qty, price_ticks, left,
              number):
    """events[event_cnt] = an EVENT of these fields (int64 each); event_cnt + 1."""
    word_stores(
        events, np.int64(event_cnt),
        np.uint64(kind | side << 8 | reason << 16 | flags << 24 | order << 32),
        np.uint64(resting | qty << 32), np.uint64(price_ticks & _LOW | left << 32),
        np.uint64(number))
    return event_cnt + 1


@kernel
def may_spend(engine, count):
    """Takes room for `count` events that no order's death pays for; False when it is used up."""
    if np.int64(engine[0]["spare_events"]) < count:
        return False
    engine[0]["spare_events"] -= np.uint64(count)
    return True

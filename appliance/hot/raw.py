"""Texts and whole records inside record arrays, moved as words.

`raw_load64(records, idx, off)` reads 8 bytes at byte `off` of records[idx] as a little-endian
uint64, `raw_store64` writes them; 32, 16 and 8 likewise. `raw_address(records, idx)` is the address
of records[idx] for a C function. Nothing is checked: idx comes from a kernel, off is a constant
of the layout. Numba holds a text field of a record only as a view: every copy would be a loop.
"""

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from appliance.hot.fence import element_pointer

_U64 = ir.IntType(64)


def _is_records(array, *numbers):
    return (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"
            and isinstance(array.dtype, types.Record)
            and all(isinstance(number, types.Integer) for number in numbers))


def _place(context, builder, signature, arguments):
    """Pointer to the byte at offset arguments[2] of the record."""
    pointer = element_pointer(context, builder, signature.args[0], arguments[0],
                              signature.args[1], arguments[1])
    off = context.cast(builder, arguments[2], signature.args[2], types.int64)
    return builder.gep(builder.bitcast(pointer, ir.IntType(8).as_pointer()), [off])


def _make_load(bits):
    kind = ir.IntType(bits)

    def typing(typingctx, records, idx, off):
        if not _is_records(records, idx, off):
            return None

        def codegen(context, builder, signature, arguments):
            place = _place(context, builder, signature, arguments)
            word = builder.load(builder.bitcast(place, kind.as_pointer()), align=1)
            return word if bits == 64 else builder.zext(word, _U64)

        return types.uint64(records, idx, off), codegen

    typing.__name__ = f"raw_load{bits}"
    return intrinsic(typing)


def _make_store(bits):
    kind = ir.IntType(bits)

    def typing(typingctx, records, idx, off, value):
        if not _is_records(records, idx, off, value):
            return None

        def codegen(context, builder, signature, arguments):
            place = _place(context, builder, signature, arguments)
            word = context.cast(builder, arguments[3], signature.args[3], types.uint64)
            word = word if bits == 64 else builder.trunc(word, kind)
            builder.store(word, builder.bitcast(place, kind.as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(records, idx, off, value), codegen

    typing.__name__ = f"raw_store{bits}"
    return intrinsic(typing)


def _address(typingctx, records, idx):
    if not _is_records(records, idx):
        return None

    def codegen(context, builder, signature, arguments):
        pointer = element_pointer(context, builder, signature.args[0], arguments[0],
                                  signature.args[1], arguments[1])
        return builder.ptrtoint(pointer, _U64)

    return types.uintp(records, idx), codegen


def _span(records, idx, off, sz):
    """The bytes of the field, or IndexError where they would leave the array or the record."""
    if not (0 <= int(idx) < records.size and 0 <= int(off) <= records.itemsize - sz):
        raise IndexError(f"{sz} bytes at {off} of record {idx} of {records.size}")
    start = int(idx) * records.itemsize + int(off)
    return records.view(np.uint8)[start:start + sz]


def _make_plain_load(sz):
    def load(records, idx, off):
        return np.uint64(int.from_bytes(_span(records, idx, off, sz).tobytes(), "little"))
    return load


def _make_plain_store(sz):
    def store(records, idx, off, value):
        low = int(value) & ((1 << (8 * sz)) - 1)
        _span(records, idx, off, sz)[:] = np.frombuffer(low.to_bytes(sz, "little"), np.uint8)
    return store


def plain_raw_address(records, idx):
    """The twin of raw_address."""
    return records.ctypes.data + int(idx) * records.itemsize


if config.DISABLE_JIT:
    raw_load64, raw_load32, raw_load16 = map(_make_plain_load, (8, 4, 2))
    raw_store64, raw_store32, raw_store16 = map(_make_plain_store, (8, 4, 2))
    raw_address = plain_raw_address
else:
    raw_load64, raw_load32, raw_load16 = map(_make_load, (64, 32, 16))
    raw_store64, raw_store32, raw_store16 = map(_make_store, (64, 32, 16))
    raw_address = intrinsic(_address)

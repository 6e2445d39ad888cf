"""Wire bytes: big-endian and little-endian loads and stores at any offset of a uint8 array.

`load_be16/32/48/64(bytes, off)` and their `_le` kin return uint64 whatever their width, so that
kernel arithmetic stays in one type; `store_...(bytes, off, value)` writes the low bits of value;
`copy_bytes(dst, dst_off, src, src_off, sz)` is memcpy (ranges must not overlap). A load or store
compiles to one or two instructions (movbe, or mov and bswap). Offsets are not checked: the caller
has checked the length.

The plain twins (`plain_...`) take these names when the JIT is off.
"""

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from appliance.hot.fence import element_pointer

_U64 = ir.IntType(64)


def _is_bytes(array):
    return (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"
            and array.dtype == types.uint8)


def _swapped(builder, word, big):
    """The word with its bytes turned round when the wire order asks for it (hosts are little)."""
    if not big:
        return word
    shape = ir.FunctionType(word.type, [word.type])
    name = f"llvm.bswap.{word.type.intrinsic_name}"
    return builder.call(cgutils.get_or_insert_function(builder.module, shape, name), [word])


def _load_word(builder, pointer, off, bits, big):
    """One unaligned load of a power-of-two width, widened to 64 bits."""
    kind = ir.IntType(bits)
    place = builder.gep(pointer, [ir.IntType(64)(off)])
    word = builder.load(builder.bitcast(place, kind.as_pointer()), align=1)
    word = _swapped(builder, word, big)
    return word if bits == 64 else builder.zext(word, _U64)


def _store_word(builder, pointer, off, bits, value, big):
    kind = ir.IntType(bits)
    place = builder.gep(pointer, [ir.IntType(64)(off)])
    word = value if bits == 64 else builder.trunc(value, kind)
    builder.store(_swapped(builder, word, big), builder.bitcast(place, kind.as_pointer()), align=1)


def _make_load(bits, big):
    def typing(typingctx, array, off):
        if not _is_bytes(array) or not isinstance(off, types.Integer):
            return None

        def codegen(context, builder, signature, arguments):
            pointer = element_pointer(context, builder, signature.args[0], arguments[0],
                                      signature.args[1], arguments[1])
            if bits != 48:
                return _load_word(builder, pointer, 0, bits, big)
            low_off, high_off = (2, 0) if big else (0, 4)
            low = _load_word(builder, pointer, low_off, 32, big)
            high = _load_word(builder, pointer, high_off, 16, big)
            return builder.or_(low, builder.shl(high, _U64(32)))

        return types.uint64(array, off), codegen

    typing.__name__ = f"load_{'be' if big else 'le'}{bits}"
    return intrinsic(typing)


def _make_store(bits, big):
    def typing(typingctx, array, off, value):
        if not (_is_bytes(array) and isinstance(off, types.Integer)
                and isinstance(value, types.Integer)):
            return None

        def codegen(context, builder, signature, arguments):
            pointer = element_pointer(context, builder, signature.args[0], arguments[0],
                                      signature.args[1], arguments[1])
            wide = context.cast(builder, arguments[2], signature.args[2], types.uint64)
            if bits != 48:
                _store_word(builder, pointer, 0, bits, wide, big)
            else:
                low_off, high_off = (2, 0) if big else (0, 4)
                _store_word(builder, pointer, low_off, 32, wide, big)
                _store_word(builder, pointer, high_off, 16, builder.lshr(wide, _U64(32)), big)
            return context.get_dummy_value()

        return types.void(array, off, value), codegen

    typing.__name__ = f"store_{'be' if big else 'le'}{bits}"
    return intrinsic(typing)


def _copy_bytes(typingctx, dst, dst_off, src, src_off, sz):
    if not (_is_bytes(dst) and _is_bytes(src)
            and all(isinstance(number, types.Integer) for number in (dst_off, src_off, sz))):
        return None

    def codegen(context, builder, signature, arguments):
        target = element_pointer(context, builder, signature.args[0], arguments[0],
                                 signature.args[1], arguments[1])
        source = element_pointer(context, builder, signature.args[2], arguments[2],
                                 signature.args[3], arguments[3])
        length = context.cast(builder, arguments[4], signature.args[4], types.int64)
        cgutils.raw_memcpy(builder, target, source, length, 1)
        return context.get_dummy_value()

    return types.void(dst, dst_off, src, src_off, sz), codegen


def _span(array, off, sz):
    """array[off:off+sz], or IndexError where the compiled form would leave the array."""
    if not 0 <= int(off) <= array.size - int(sz):
        raise IndexError(f"{sz} bytes at offset {off} of an array of {array.size}")
    return array[int(off):int(off) + int(sz)]


def _make_plain_load(sz, order):
    def load(array, off):
        return np.uint64(int.from_bytes(_span(array, off, sz).tobytes(), order))
    return load


def _make_plain_store(sz, order):
    def store(array, off, value):
        low = int(value) & ((1 << (8 * sz)) - 1)
        _span(array, off, sz)[:] = np.frombuffer(low.to_bytes(sz, order), np.uint8)
    return store


def plain_copy_bytes(dst, dst_off, src, src_off, sz):
    """The twin of copy_bytes."""
    _span(dst, dst_off, sz)[:] = _span(src, src_off, sz)


plain_load_be16, plain_store_be16 = _make_plain_load(2, "big"), _make_plain_store(2, "big")
plain_load_be32, plain_store_be32 = _make_plain_load(4, "big"), _make_plain_store(4, "big")
plain_load_be48, plain_store_be48 = _make_plain_load(6, "big"), _make_plain_store(6, "big")
plain_load_be64, plain_store_be64 = _make_plain_load(8, "big"), _make_plain_store(8, "big")
plain_load_le32, plain_store_le32 = _make_plain_load(4, "little"), _make_plain_store(4, "little")
plain_load_le64, plain_store_le64 = _make_plain_load(8, "little"), _make_plain_store(8, "little")

if config.DISABLE_JIT:
    load_be16, store_be16 = plain_load_be16, plain_store_be16
    load_be32, store_be32 = plain_load_be32, plain_store_be32
    load_be48, store_be48 = plain_load_be48, plain_store_be48
    load_be64, store_be64 = plain_load_be64, plain_store_be64
    load_le32, store_le32 = plain_load_le32, plain_store_le32
    load_le64, store_le64 = plain_load_le64, plain_store_le64
    copy_bytes = plain_copy_bytes
else:
    load_be16, store_be16 = _make_load(16, True), _make_store(16, True)
    load_be32, store_be32 = _make_load(32, True), _make_store(32, True)
    load_be48, store_be48 = _make_load(48, True), _make_store(48, True)
    load_be64, store_be64 = _make_load(64, True), _make_store(64, True)
    load_le32, store_le32 = _make_load(32, False), _make_store(32, False)
    load_le64, store_le64 = _make_load(64, False), _make_store(64, False)
    copy_bytes = intrinsic(_copy_bytes)

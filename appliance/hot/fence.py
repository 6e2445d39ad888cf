"""Ordered loads and stores, and the few CPU instructions that Python has no word for.

A plain load of memory that another process writes is moved out of the loop by the compiler and
never sees the store. So every shared index goes through these: write the data first, then
`store_release` the index; `load_acquire` the index first, then read the data.

Each function exists twice: as an intrinsic that becomes one or two instructions, and as a plain
Python twin (`plain_...`) that takes its name when the JIT is off (NUMBA_DISABLE_JIT=1). The twins
are for tests in one process; they order nothing.

Index arguments are element numbers, not checked and never negative. Nothing here allocates.
"""

import platform

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

_U32 = ir.IntType(32)
_U64 = ir.IntType(64)
_MASK_32 = 0xFFFF_FFFF
_MASK_64 = 0xFFFF_FFFF_FFFF_FFFF


def _checked(array, idx):
    if not 0 <= int(idx) < array.size:
        raise IndexError(f"index {idx} of an array of {array.size}")
    return int(idx)


def plain_load(array, idx):
    """array[idx], the twin of both load_acquire intrinsics; a negative idx raises, never wraps."""
    return array[_checked(array, idx)]


def plain_store(array, idx, value):
    """array[idx] = value, the twin of both store_release intrinsics; wraps like the machine."""
    mask = _MASK_32 if array.itemsize == 4 else _MASK_64
    array[_checked(array, idx)] = array.dtype.type(int(value) & mask)


def plain_pause():
    """Nothing: there is no one to be polite to."""


def plain_prefetch(array, idx):
    """Nothing: memory needs no hint to be correct."""


def plain_ctz64(word):
    """Number of zero bits below the lowest set bit; 64 for 0."""
    word = int(word) & _MASK_64
    return (word & -word).bit_length() - 1 if word else 64


def plain_clz64(word):
    """Number of zero bits above the highest set bit; 64 for 0."""
    return 64 - (int(word) & _MASK_64).bit_length()


def element_pointer(context, builder, array_type, array, idx_type, idx):
    """The address of array[idx]; idx may be any integer type and is taken as it is."""
    wide = context.cast(builder, idx, idx_type, types.intp)
    view = context.make_array(array_type)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, array_type, view, [wide], wraparound=False)


def _accepts(array, idx, bits):
    return (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"
            and isinstance(array.dtype, types.Integer) and array.dtype.bitwidth == bits
            and isinstance(idx, types.Integer))


def _make_load(bits, machine_type):
    def typing(typingctx, array, idx):
        if not _accepts(array, idx, bits):
            return None

        def codegen(context, builder, signature, arguments):
            pointer = element_pointer(context, builder, signature.args[0], arguments[0],
                                      signature.args[1], arguments[1])
            pointer = builder.bitcast(pointer, machine_type.as_pointer())
            return builder.load_atomic(pointer, "acquire", bits // 8)

        return Signature(array.dtype, (array, idx), None), codegen

    typing.__name__ = f"load_acquire_u{bits}"
    return intrinsic(typing)


def _make_store(bits, machine_type):
    def typing(typingctx, array, idx, value):
        if not _accepts(array, idx, bits) or not isinstance(value, types.Integer):
            return None

        def codegen(context, builder, signature, arguments):
            pointer = element_pointer(context, builder, signature.args[0], arguments[0],
                                      signature.args[1], arguments[1])
            pointer = builder.bitcast(pointer, machine_type.as_pointer())
            stored = context.cast(builder, arguments[2], signature.args[2], signature.args[0].dtype)
            builder.store_atomic(stored, pointer, "release", bits // 8)
            return context.get_dummy_value()

        return Signature(types.void, (array, idx, value), None), codegen

    typing.__name__ = f"store_release_u{bits}"
    return intrinsic(typing)


def _pause(typingctx):
    def codegen(context, builder, signature, arguments):
        void = ir.VoidType()
        if platform.machine() == "aarch64":
            hint = ir.FunctionType(void, [_U32])
            function = cgutils.get_or_insert_function(builder.module, hint, "llvm.aarch64.hint")
            builder.call(function, [_U32(1)])
        else:
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(void, []), "llvm.x86.sse2.pause")
            builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


def _prefetch(typingctx, array, idx):
    if not isinstance(array, types.Array) or not isinstance(idx, types.Integer):
        return None

    def codegen(context, builder, signature, arguments):
        pointer = element_pointer(context, builder, signature.args[0], arguments[0],
                                  signature.args[1], arguments[1])
        pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
        shape = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), _U32, _U32, _U32])
        function = cgutils.get_or_insert_function(builder.module, shape, "llvm.prefetch.p0")
        builder.call(function, [pointer, _U32(0), _U32(3), _U32(1)])
        return context.get_dummy_value()

    return types.void(array, idx), codegen


def _make_count(name):
    def typing(typingctx, word):
        if not isinstance(word, types.Integer):
            return None

        def codegen(context, builder, signature, arguments):
            wide = context.cast(builder, arguments[0], signature.args[0], types.uint64)
            shape = ir.FunctionType(_U64, [_U64, ir.IntType(1)])
            function = cgutils.get_or_insert_function(builder.module, shape, f"llvm.{name}.i64")
            return builder.call(function, [wide, ir.IntType(1)(0)])

        return types.int64(word), codegen

    typing.__name__ = name
    return intrinsic(typing)


if config.DISABLE_JIT:
    load_acquire_u32 = load_acquire_u64 = plain_load
    store_release_u32 = store_release_u64 = plain_store
    pause, prefetch, ctz64, clz64 = plain_pause, plain_prefetch, plain_ctz64, plain_clz64
else:
    load_acquire_u32, load_acquire_u64 = _make_load(32, _U32), _make_load(64, _U64)
    store_release_u32, store_release_u64 = _make_store(32, _U32), _make_store(64, _U64)
    pause, prefetch = intrinsic(_pause), intrinsic(_prefetch)
    ctz64, clz64 = _make_count("cttz"), _make_count("ctlz")

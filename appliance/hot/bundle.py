"""Many arrays handed over as one word.

An array takes seven words of a call, a book about a hundred: moving them costs more than most of
what is called. So the caller lays a tuple down once (`bundle`) and hands its address on; the callee
(`opened`) loads what it uses and nothing else. With the JIT off a bundle is the tuple itself.
"""

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

_I32 = ir.IntType(32)


def plain_bundle(values):
    """The tuple itself."""
    return values


def _bundle(typingctx, values):
    """The address of a copy of a tuple of arrays; valid until the calling function returns."""
    if not isinstance(values, types.BaseTuple):
        return None

    def codegen(context, builder, signature, arguments):
        return cgutils.alloca_once_value(builder, arguments[0])

    return types.CPointer(values)(values), codegen


def _load(builder, pointer):
    """The value at an LLVM pointer, each scalar of it loaded by itself: unused loads vanish."""
    kind = pointer.type.pointee
    if isinstance(kind, ir.ArrayType):
        parts = range(kind.count)
    elif isinstance(kind, ir.LiteralStructType):
        parts = range(len(kind.elements))
    else:
        return builder.load(pointer)
    value = ir.Constant(kind, ir.Undefined)
    for k in parts:
        part = _load(builder, builder.gep(pointer, [_I32(0), _I32(k)], inbounds=True))
        value = builder.insert_value(value, part, k)
    return value


def _opened(typingctx, pointer):
    """The tuple of a bundle."""
    if not isinstance(pointer, types.CPointer):
        return None

    def codegen(context, builder, signature, arguments):
        return _load(builder, arguments[0])

    return pointer.dtype(pointer), codegen


if config.DISABLE_JIT:
    bundle = opened = plain_bundle
else:
    bundle, opened = intrinsic(_bundle), intrinsic(_opened)

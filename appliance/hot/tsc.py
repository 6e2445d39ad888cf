"""The cycle counter, for durations only; turning cycles into nanoseconds is cold work.

`read_tsc()` is uint64. On x86 it is the rdtsc instruction; elsewhere the C function, because the
compiler's own reading would need rights that a user process does not have.
"""

import platform

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from appliance.native import external, lib


def plain_read_tsc():
    """The twin of read_tsc."""
    return np.uint64(lib.wm_tsc())


def _read_tsc(typingctx):
    def codegen(context, builder, signature, arguments):
        shape = ir.FunctionType(ir.IntType(64), [])
        function = cgutils.get_or_insert_function(builder.module, shape, "llvm.readcyclecounter")
        return builder.call(function, [])

    return types.uint64(), codegen


if config.DISABLE_JIT:
    read_tsc = plain_read_tsc
elif platform.machine() == "x86_64":
    read_tsc = intrinsic(_read_tsc)
else:
    read_tsc = external("wm_tsc", types.uint64)

"""The compiled C room as Python sees it: `lib`, `ffi` (cffi), `path`, `load`, `external`, `check`.

Cold code calls `lib.wm_...` through cffi. A kernel may not: a cffi or ctypes pointer makes it
uncacheable. It calls the symbol by name instead, which `external` declares; that works because
`load` has put the library into the process before any kernel is compiled or read from the cache.
"""

import errno
import os

import llvmlite.binding
from numba import config, types

try:
    from appliance import _native
except ImportError as missing:
    raise ImportError(
        "the C library appliance/_native.abi3.so cannot be loaded "
        f"({missing}); build it with: python native/build.py"
    ) from missing

lib = _native.lib
ffi = _native.ffi
path = _native.__file__

SCAN_VARIANTS = ("scalar", "AVX2", "AVX-512", "NEON")     # by the numbers of api.h


def load() -> None:
    """Makes every wm_ symbol visible to compiled kernels. Harmless when repeated."""
    llvmlite.binding.load_library_permanently(path)


def external(name: str, result: types.Type, *arguments: types.Type):
    """The C function `name` for use inside kernels; pointers are passed as `types.uintp`.

    With the JIT off (NUMBA_DISABLE_JIT=1) it is an ordinary Python function over cffi with the same
    arguments, so the plain twins of kernels run the same C code.
    """
    if not config.DISABLE_JIT:
        return types.ExternalFunction(name, result(*arguments))
    function = getattr(lib, name)
    declared = ffi.typeof(function).args

    def call(*values):
        return function(*(
            ffi.cast(kind, int(value)) if kind.kind == "pointer" else int(value)
            for kind, value in zip(declared, values, strict=True)
        ))

    return call


def check(result: int, tried: str, remedy: str = "") -> int:
    """`result` when it is not negative; else an OSError that says what was tried and what to do."""
    if result >= 0:
        return result
    number = -result
    name = "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))
    advice = f"; {remedy}" if remedy else ""
    raise OSError(number, f"{tried}: {os.strerror(number)} ({name}){advice}")


load()

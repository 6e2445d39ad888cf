"""How a kernel of the matching core is compiled: `kernel` and `inlined` instead of a bare njit.

Both are compiled without numba's memory manager. So an allocation inside one is a compile error,
not a surprise, and no array argument is reference-counted: with the counting, passing `Book` from
helper to helper costs hundreds of atomic operations a command (measured: 1 M commands/s instead of
tens of millions).
"""

from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_OPTIONS = {"cache": True, "_nrt": False, "no_cfunc_wrapper": True}
_INNER = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

kernel = njit(**_INNER)                        # a function of its own, for kernels only
inlined = njit(**_INNER, forceinline=True)     # becomes part of each caller


def later(signature, **options):
    """njit for one signature, compiled or loaded when it is first called or first compiled into a
    caller. What a caller from the cache has inside needs neither: a warm start loads the few
    kernels that Python calls, and nothing else."""
    def decorate(function):
        dispatcher = njit(**options)(function)
        if config.DISABLE_JIT:
            return dispatcher
        typed = dispatcher.get_call_template

        def build():
            if not dispatcher.overloads:
                dispatcher.compile(signature)
                dispatcher.disable_compile()

        def get_call_template(arguments, keywords):
            build()
            return typed(arguments, keywords)

        def compile_for_args(*_arguments, **_keywords):
            build()
            return dispatcher.overloads[dispatcher.signatures[0]].entry_point

        dispatcher.get_call_template = get_call_template
        dispatcher._compile_for_args = compile_for_args
        return dispatcher

    return decorate


def kernel_of(signature):
    """Python's door: compiled for one signature, or loaded from the cache, at the first use."""
    return later(signature, **_OPTIONS)


def plain_unlikely(condition):
    """The condition itself."""
    return condition


def _unlikely(typingctx, condition):
    """The condition, and a word to the compiler: keep what follows out of the straight line."""
    if not isinstance(condition, types.Boolean):
        return None

    def codegen(context, builder, signature, arguments):
        bit = ir.IntType(1)
        expect = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(bit, [bit, bit]), "llvm.expect.i1")
        return builder.call(expect, [arguments[0], bit(0)])

    return types.boolean(types.boolean), codegen


unlikely = plain_unlikely if config.DISABLE_JIT else intrinsic(_unlikely)

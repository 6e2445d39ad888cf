"""The core behind a C surface: the same kernels, reached by addresses instead of numpy arrays.

`tools/build_core.py` compiles these functions into an object file, and native/core/front.c calls
them: no interpreter takes part. A `table` is the address of ARRAY rows of three 64-bit words, one
a field of `Book` in its order: address, rows, columns (1 for a flat array). Results are values
>= 0 or -errno. Callers have checked addresses and sizes; commands are checked by the book.
"""

import errno

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ..layout.record import FAR_BLOCK
from .book import BOOK_TYPE, FAULT_EVENTS, apply_work
from .bundle import opened
from .kernel import later
from .level_sum import level_sum
from .reach import forget_reach
from .state import FOLLOW_AFTER
from .types import COMMANDS, EVENTS, I64, INNER, U64

_WORD = ir.IntType(64)
_ROW = 3                      # words of a table row
_FAR_NUMBER = 2147483647      # best price of an empty sell side


def _view(context, builder, array_type, address, shape):
    """An array of numba over memory at an address (an LLVM word), C order."""
    view = context.make_array(array_type)(context, builder)
    item = context.get_abi_sizeof(context.get_data_type(array_type.dtype))
    strides = [_WORD(item)]
    for extent in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], extent))
    populate_array(view, builder.inttoptr(address, view.data.type), shape, strides, item, None)
    return view._getvalue()


@intrinsic
def book_at(typingctx, table):
    """The Book whose arrays a table lists."""
    def codegen(context, builder, signature, arguments):
        words = builder.inttoptr(arguments[0], _WORD.as_pointer())

        def word(idx):
            return builder.load(builder.gep(words, [_WORD(idx)]))

        return context.make_tuple(builder, BOOK_TYPE, [
            _view(context, builder, array, word(_ROW * k),
                  [word(_ROW * k + 1 + axis) for axis in range(array.ndim)])
            for k, array in enumerate(BOOK_TYPE.types)])

    return BOOK_TYPE(types.uint64), codegen


def _array_of(array_type):
    def typing(typingctx, address, count):
        def codegen(context, builder, signature, arguments):
            return _view(context, builder, array_type, arguments[0], [arguments[1]])

        return array_type(types.uint64, types.int64), codegen

    return intrinsic(typing)


# What apply_work takes is laid down once, behind the table; only the events are new in each call.
_WORK = types.CPointer(types.Tuple((BOOK_TYPE, EVENTS)))
_LAID = _ROW * 8 * len(BOOK_TYPE.types)             # bytes from the table to it
WORK_WORDS = sum(5 + 2 * array.ndim for array in (*BOOK_TYPE.types, EVENTS))


def _place(context, builder, address):
    return builder.inttoptr(builder.add(address, _WORD(_LAID)), context.get_value_type(_WORK))


@intrinsic
def _lay_down(typingctx, table, book):
    """Writes the bundle of a book and of no events behind its table."""
    def codegen(context, builder, signature, arguments):
        place = builder.gep(_place(context, builder, arguments[0]),
                            [ir.IntType(32)(0), ir.IntType(32)(0)])
        builder.store(arguments[1], place)
        return context.get_dummy_value()

    return types.void(types.uint64, BOOK_TYPE), codegen


@intrinsic
def _work_of(typingctx, table, events):
    """The bundle behind a table, for these events."""
    def codegen(context, builder, signature, arguments):
        work = _place(context, builder, arguments[0])
        builder.store(arguments[1], builder.gep(work, [ir.IntType(32)(0), ir.IntType(32)(1)]))
        return work

    return _WORK(types.uint64, EVENTS), codegen


_commands_at, _events_at = _array_of(COMMANDS), _array_of(EVENTS)
_words_at = _array_of(types.int64[::1])


@later(I64(U64, I64, I64), **INNER)
def begin_at(table, lg_ladder, far_cap):
    """A book whose memory is all zero becomes an empty one; 0. As hot/state.py build makes it."""
    book = book_at(table)
    engine, free = book.engine[0], np.int64(book.far_levels.size) - 1
    for slot in range(1, free):
        book.far_levels[slot]["head"] = np.uint32(slot + 1)
    engine["next_far"], engine["free_far"] = np.uint64(1), np.uint64(free)
    for block in range(1, book.far_blocks.size // (2 * FAR_BLOCK) - 1):
        book.far_blocks[block * 2 * FAR_BLOCK] = np.int32(block + 1)
    engine["free_block"] = np.uint64(1)
    engine["next_order_ref"] = engine["next_match"] = np.uint64(1)
    engine["symbol_cnt"] = np.uint64(book.symbols.size)
    engine["lg_ladder"] = np.uint64(lg_ladder)
    engine["far_cap"] = np.uint64(far_cap)
    engine["follow_after"] = np.uint64(FOLLOW_AFTER)
    for symbol in range(book.symbols.size):
        book.symbols[symbol]["buy_bound_ticks"] = np.int32(_FAR_NUMBER)
    for owner in range(book.sides.size):
        book.sides[owner]["best_ticks"] = np.int32(-1 if owner & 1 == 0 else _FAR_NUMBER)
    _lay_down(table, book)
    return np.int64(0)


@later(I64(U64, I64, I64), **INNER)
def window_at(table, symbol, first_ticks):
    """Moves a symbol's ladder window; 0, or -EBUSY when the symbol has orders."""
    book = book_at(table)
    for owner in range(symbol << 1, book.sides.size, book.symbols.size << 1):
        if book.sides[owner]["order_cnt"] != 0 or book.sides[owner + 1]["order_cnt"] != 0:
            return np.int64(-errno.EBUSY)
    book.symbols[symbol]["window_ticks"] = np.int32(first_ticks)
    forget_reach(book, symbol)
    return np.int64(0)


@later(I64(U64, U64, I64, U64, I64, U64), **INNER)
def apply_at(table, commands, command_cnt, events, event_cap, given):
    """hot/book.py apply over COMMAND[command_cnt] into EVENT[event_cap].

    given: address of one word for the events written. 0; -ENOBUFS when there may be too little
    room: nothing was done; -EBADMSG when the book refused a command: the others were applied;
    -EAGAIN when command `resume_at` is to go on once the events have been taken.
    """
    work, out = _work_of(table, _events_at(events, event_cap)), _words_at(given, np.int64(1))
    book, _ = opened(work)
    engine, told = book.engine[0], np.uint64(0)
    if engine["unfinished"] != 0:
        if command_cnt == 0:                    # it is not there to go on
            return np.int64(-errno.EAGAIN)
        told = engine["fault"]                  # of the commands before it, to be told at the end
    engine["fault"] = np.uint64(0)
    event_cnt = apply_work(work, _commands_at(commands, command_cnt), np.int64(0), command_cnt,
                           np.int64(0))
    out[0] = event_cnt
    lacks_room = np.int64(engine["fault"]) == FAULT_EVENTS
    if told != 0:
        engine["fault"] = told
    if lacks_room:
        return np.int64(-errno.ENOBUFS)
    if engine["unfinished"] != 0:
        return np.int64(-errno.EAGAIN)
    return np.int64(0) if engine["fault"] == 0 else np.int64(-errno.EBADMSG)


@later(I64(U64, I64, I64, U64), **INNER)
def best_at(table, symbol, side, out):
    """Best price of a side into three words: price in ticks, open quantity, orders; the orders."""
    book, words = book_at(table), _words_at(out, np.int64(3))
    owner = symbol << 1 | side
    price_ticks = np.int64(book.sides[owner]["best_ticks"])
    qty, order_cnt = np.int64(0), np.int64(0)
    if book.sides[owner]["order_cnt"] != 0:
        qty, order_cnt = level_sum(book, owner, price_ticks)
    words[0], words[1], words[2] = price_ticks, qty, order_cnt
    return order_cnt


@later(I64(U64), **INNER)
def live_at(table):
    """Orders that are live now."""
    return np.int64(book_at(table).engine[0]["live_orders"])


@later(I64(U64), **INNER)
def resume_at(table):
    """Index of the command that an apply with -EAGAIN stopped at."""
    return np.int64(book_at(table).engine[0]["resume_at"])


# What a library of the core exports to its C front, by the front's name.
SURFACE = {"begin": begin_at, "window": window_at, "apply": apply_at, "best": best_at,
           "live": live_at, "resume": resume_at}

"""The core as a C library: C and C++ programs against the Python bench, arrays against state.py."""

import ctypes
import errno
import random
import shutil
import subprocess

import numpy as np
import pytest

from appliance.hot import state
from appliance.hot.book import EVENTS_A_COMMAND, EVENTS_SPARE, apply
from appliance.layout import record as r
from appliance.layout.digest import layout_digest
from tests.hot.book_kit import WINDOW, cancel, enter, modify, random_commands, replace
from tools import build_core, workload_maker
from tools.bench import core_run

MESSAGES = 300_000
SIZES = dict(symbols=2, pages=16, lg_ladder=12, far_cap=64, far_levels=256)
COMMANDS = 4000


class Sizes(ctypes.Structure):
    """struct wirematch_sizes."""

    _fields_ = [("layout", ctypes.c_uint64)] + [
        (name, ctypes.c_uint32) for name in ("symbols", "orders", "lg_ladder", "far_cap",
                                             "far_levels")]


class Best(ctypes.Structure):
    """struct wirematch_best."""

    _fields_ = [(name, ctypes.c_int64) for name in ("price_ticks", "qty", "orders")]


def sizes(**other):
    return Sizes(**{"layout": layout_digest(), "symbols": 2, "orders": 4096, "lg_ladder": 12,
                    "far_cap": 64, "far_levels": 256} | other)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Library, headers and examples, built once."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    target = tmp_path_factory.mktemp("core")
    build_core.build(target)
    return target


@pytest.fixture(scope="module")
def lib(folder):
    loaded = ctypes.CDLL(str(folder / build_core.LIBRARY))
    loaded.wirematch_strerror.restype = loaded.wirematch_cpu.restype = ctypes.c_char_p
    loaded.wirematch_room.restype = loaded.wirematch_resume.restype = ctypes.c_uint64
    loaded.wirematch_resume.argtypes = [ctypes.c_void_p]
    loaded.wirematch_room.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
    loaded.wirematch_create.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    loaded.wirematch_destroy.argtypes = [ctypes.c_void_p]
    loaded.wirematch_window.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int32]
    loaded.wirematch_top.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32,
                                     ctypes.c_void_p]
    loaded.wirematch_apply.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64,
                                       ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p]
    return loaded


@pytest.fixture
def book(lib):
    made = ctypes.c_void_p()
    assert lib.wirematch_create(ctypes.byref(sizes()), ctypes.byref(made)) == 0
    yield made
    lib.wirematch_destroy(made)


def compiled(folder, source, compiler, *options):
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    program = folder / source.replace(".", "_")
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", *options, folder / source,
                    f"-I{folder}", f"-L{folder}", "-lwirematch", f"-Wl,-rpath,{folder}", "-o",
                    program], check=True)
    return program


def arrays(book):
    """The bytes of the book's arrays: its first member is the table that the kernels read."""
    table = ctypes.cast(book, ctypes.POINTER(ctypes.c_uint64))
    empty = state.build(state.Sizes(**SIZES)).book
    found = {}
    for k, (name, array) in enumerate(empty._asdict().items()):
        address, rows, columns = table[3 * k:3 * k + 3]
        assert (rows, columns) == (array.shape[0], array.shape[1] if array.ndim == 2 else 1), name
        memory = (ctypes.c_uint8 * array.nbytes).from_address(address)
        found[name] = np.frombuffer(memory, array.dtype).reshape(array.shape)
    return found


def send(lib, book, commands, cap=None):
    """(result, events) of commands given as one batch."""
    batch = np.array(commands, r.COMMAND.dtype)
    room = lib.wirematch_room(book, len(batch)) if cap is None else cap
    events, given = np.zeros(room, r.EVENT.dtype), ctypes.c_uint64(99)
    result = lib.wirematch_apply(book, batch.ctypes.data, len(batch), events.ctypes.data, room,
                                 ctypes.byref(given))
    return result, events[:given.value]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """The first messages of w1, and what the Python bench says of them."""
    path = tmp_path_factory.mktemp("workload") / "w1.bin"
    workload_maker.write("w1", path, MESSAGES)
    return path, core_run.measure(core_run.load(path), rounds=1)


@pytest.mark.parametrize("batch", [1, 7, 64, 4096])
def test_c_program_gives_the_trades_of_the_python_bench(folder, prefix, batch):
    path, known = prefix
    program = compiled(folder, "example.c", "cc", "-std=c11")
    ran = subprocess.run([program, path, str(batch)], capture_output=True, text=True, check=True)
    said = dict(line.split(" ", 1) for line in ran.stdout.splitlines())
    assert known["trades"] > 10_000
    assert (int(said["messages"]), int(said["trades"]), said["checksum"]) == (
        MESSAGES, known["trades"], known["checksum"])


def test_cpp_program_trades_and_is_told_what_is_wrong(folder):
    program = compiled(folder, "example.cpp", "c++", "-std=c++17", "-pedantic")
    ran = subprocess.run([program], capture_output=True, text=True, check=True)
    *trades, refused = ran.stdout.splitlines()
    assert trades == ["trade resting 1 incoming 3 qty 300 price 10250 left 0",
                      "trade resting 2 incoming 3 qty 100 price 10251 left 100",
                      "ask 10251 qty 100 orders 1"]
    assert refused.startswith("refused: a null pointer, or a size")


def test_cost_program_measures_calls_that_work(folder):
    ran = subprocess.run([compiled(folder, "cost.c", "cc")], capture_output=True, text=True,
                         check=True)
    names, values = zip(*map(str.split, ran.stdout.splitlines()), strict=True)
    assert names == ("apply_nothing_ns", "enter_and_cancel_ns", "top_ns")
    assert all(float(value) > 0 for value in values)          # -1: a call was refused


def test_library_needs_nothing_but_the_c_library(folder):
    needed = subprocess.run(["ldd", folder / build_core.LIBRARY], capture_output=True, text=True,
                            check=True).stdout
    assert {line.split()[0].split("/")[-1].split(".")[0] for line in needed.splitlines()} <= {
        "linux-vdso", "libc", "ld-linux-x86-64", "ld-linux-aarch64"}


def test_new_book_is_byte_for_byte_what_state_py_builds(book):
    empty = state.build(state.Sizes(**SIZES)).book
    for name, array in arrays(book).items():
        wanted = getattr(empty, name).copy()
        if name == "engine":                  # a book alone has no pages, accounts and streams
            wanted["free_page"] = wanted["free_chunk"] = wanted["account_cnt"] = 0
            wanted["event_cap"] = 0
        assert array.tobytes() == wanted.tobytes(), name


def test_random_commands_give_the_same_events_and_the_same_book(lib, book):
    """All kinds of commands, near and far prices, batches of all sizes, against Python's apply."""
    twin = state.build(state.Sizes(**SIZES))
    for symbol in (0, 1):
        assert lib.wirematch_window(book, symbol, WINDOW) == 0
    twin.book.symbols["window_ticks"] = WINDOW
    generator = random.Random(11)
    commands = random_commands(generator, COMMANDS, (WINDOW, 3000, WINDOW + 4096), first_order=1,
                               special=3)
    commands = np.array([made for made in commands if made["order"] < 4096], r.COMMAND.dtype)
    at, kinds = 0, set()
    while at < len(commands):
        batch = commands[at:at + generator.choice((1, 2, 17, 64, 300))]
        result, events = send(lib, book, batch, lib.wirematch_room(book, len(batch)) + 4096)
        cnt = apply(twin.book, batch, 0, len(batch), twin.burst.events, 0)
        assert result == (-errno.EBADMSG if twin.book.engine[0]["fault"] else 0)
        twin.book.engine[0]["fault"] = 0
        assert events.tobytes() == twin.burst.events[:cnt].tobytes()
        kinds |= set(events["kind"].tolist())
        at += len(batch)
    assert {r.ACCEPTED, r.TRADE, r.BOOKED, r.MOVED, r.CANCELED, r.MODIFIED, r.REPLACED,
            r.REFRESHED} <= kinds
    skip = ("free_page", "free_chunk", "account_cnt", "event_cap", "fault", "spare_events")
    for name, array in arrays(book).items():
        wanted, had = getattr(twin.book, name).copy(), array.copy()
        for word in skip if name == "engine" else ():
            wanted[word] = had[word] = 0
        assert had.tobytes() == wanted.tobytes(), name
    for owner in range(4):
        best = Best()
        assert lib.wirematch_top(book, owner >> 1, owner & 1, ctypes.byref(best)) == 0
        side = twin.book.sides[owner]
        assert (best.price_ticks, best.orders > 0) == (side["best_ticks"], side["order_cnt"] > 0)


@pytest.mark.parametrize("wrong, expected", [
    ({"symbols": 0}, errno.EINVAL), ({"symbols": 65536}, errno.EINVAL),
    ({"orders": 0}, errno.EINVAL), ({"orders": 1}, errno.EINVAL),
    ({"orders": 2**31}, errno.EINVAL), ({"lg_ladder": 11}, errno.EINVAL),
    ({"lg_ladder": 25}, errno.EINVAL), ({"far_cap": 0}, errno.EINVAL),
    ({"far_cap": 2**32 - 1}, errno.EINVAL), ({"far_levels": 1}, errno.EINVAL),
    ({"layout": 7}, errno.EPROTO), ({"symbols": 65535, "lg_ladder": 24}, errno.E2BIG),
    ({"symbols": 20000, "far_cap": 2**31 - 1}, errno.ENOMEM)])
def test_wrong_sizes_have_a_code_and_no_book(lib, wrong, expected):
    made = ctypes.c_void_p(1)
    assert lib.wirematch_create(ctypes.byref(sizes(**wrong)), ctypes.byref(made)) == -expected
    assert made.value is None


def test_wrong_arguments_have_a_code(lib, book):
    one, room = np.zeros(1, r.COMMAND.dtype), np.zeros(64, r.EVENT.dtype)
    given, best = ctypes.c_uint64(5), Best()
    command, events, out = one.ctypes.data, room.ctypes.data, ctypes.byref(given)
    good = [book, command, 1, events, 64, out]
    for place, wrong in ((0, None), (1, None), (3, None), (5, None), (2, 2**63), (4, 2**63)):
        arguments = [*good[:place], wrong, *good[place + 1:]]
        assert lib.wirematch_apply(*arguments) == -errno.EINVAL, place
        assert given.value == 0 or place == 5
    assert lib.wirematch_apply(*good) == 0
    assert lib.wirematch_create(None, ctypes.byref(best)) == -errno.EINVAL
    assert lib.wirematch_create(ctypes.byref(sizes()), None) == -errno.EINVAL
    for symbol, side in ((2, 0), (0, 2), (2**32 - 1, 0)):
        assert lib.wirematch_top(book, symbol, side, ctypes.byref(best)) == -errno.EINVAL
    assert lib.wirematch_top(book, 0, 0, None) == -errno.EINVAL
    assert lib.wirematch_window(book, 2, 0) == lib.wirematch_window(book, 0, -1) == -errno.EINVAL
    assert lib.wirematch_room(None, 3) == 0
    lib.wirematch_destroy(None)


def test_too_little_room_does_nothing(lib, book):
    commands = [enter(1, 0, 10, 2000), enter(2, 1, 10, 2000)]
    room = lib.wirematch_room(book, 2)
    assert room == 2 * EVENTS_A_COMMAND + EVENTS_SPARE
    result, events = send(lib, book, commands, room - 1)
    assert (result, len(events)) == (-errno.ENOBUFS, 0)
    assert lib.wirematch_room(book, 0) == EVENTS_SPARE
    result, events = send(lib, book, commands, room)
    assert result == 0 and r.TRADE in events["kind"]


def test_a_sweep_of_reserves_goes_on_where_the_room_had_ended(lib, book):
    commands = [enter(1, 1, 500, 2000, flags=r.RESERVE, min_qty=1), enter(2, 0, 500, 2000),
                enter(3, 0, 7, 1999)]
    found, at, calls, result = [], 0, 0, -errno.EAGAIN
    while result == -errno.EAGAIN:
        result, events = send(lib, book, commands[at:], lib.wirematch_room(book, 3) + 20)
        found += events["kind"].tolist()
        at += lib.wirematch_resume(book) if result else 0
        calls += 1
    assert result == 0 and calls > 10
    assert found.count(r.TRADE) == 500 and found.count(r.REFRESHED) == 499
    assert found[-1] == r.ACCEPTED and lib.wirematch_room(book, 0) == 1 + EVENTS_SPARE


def test_command_out_of_range_is_passed_over_and_told(lib, book):
    wrong = [enter(0, 0, 10, 2000), enter(4096, 0, 10, 2000), enter(3, 2, 10, 2000),
             enter(3, 0, 0, 2000), enter(3, 0, 10, -1), enter(3, 0, 10, 2000, symbol=2)]
    for command in wrong:
        result, events = send(lib, book, [command, enter(9, 0, 10, 2000), cancel(9)])
        assert result == -errno.EBADMSG
        assert events["kind"].tolist() == [r.ACCEPTED, r.CANCELED]
    assert send(lib, book, [enter(9, 0, 10, 2000)])[0] == 0
    assert send(lib, book, [enter(9, 0, 10, 2000)])[0] == -errno.EBADMSG     # live already
    result, events = send(lib, book, [cancel(8), cancel(0), cancel(2**32 - 1)])
    assert result == 0 and not len(events)


@pytest.mark.parametrize("flags, floor", [
    (r.RESERVE, 0), (r.RESERVE | r.HIDDEN, 10), (r.RESERVE | r.AUCTION, 10)])
def test_a_reserve_that_cannot_be_is_out_of_range(lib, book, flags, floor):
    """Without a floor it would trade nothing for ever, unshown it would lose what it holds back."""
    wrong = dict(flags=flags, min_qty=floor)
    result, events = send(lib, book, [enter(1, 1, 100, 2000, **wrong), enter(2, 0, 10, 2000)])
    assert result == -errno.EBADMSG and events["order"].tolist() == [2]
    result, events = send(lib, book, [replace(2, 3, 0, 20, 2000, **wrong), cancel(2)])
    assert result == -errno.EBADMSG and events["qty"].tolist() == [10]
    assert lib.wirematch_room(book, 0) == EVENTS_SPARE


def test_a_hidden_order_gets_no_floor(lib, book):
    send(lib, book, [enter(1, 1, 100, 2000, flags=r.HIDDEN)])
    grown = modify(1, 200)
    grown["flags"], grown["min_qty"] = r.RESERVE, 10
    result, events = send(lib, book, [grown, enter(2, 0, 100, 2000)])
    assert result == -errno.EBADMSG
    assert events["kind"].tolist() == [r.ACCEPTED, r.TRADE] and events["qty"].tolist() == [100] * 2


def test_an_order_that_has_more_to_trade_waits_for_room_and_for_its_command(lib, book):
    send(lib, book, [enter(1, 1, 50, 2000, flags=r.RESERVE, min_qty=1)])
    takers = [enter(0, 0, 1, 2000), enter(2, 0, 50, 2000)]
    result, events = send(lib, book, takers)
    assert result == -errno.EAGAIN and lib.wirematch_resume(book) == 1
    given, room = ctypes.c_uint64(99), np.zeros(64, r.EVENT.dtype)
    assert lib.wirematch_apply(book, None, 0, room.ctypes.data, 64,
                               ctypes.byref(given)) == -errno.EAGAIN and given.value == 0
    assert send(lib, book, takers[1:], 3)[0] == -errno.ENOBUFS
    result, more = send(lib, book, takers[1:], 200)
    assert result == -errno.EBADMSG                  # of the first: its handle is 0
    traded = [event["qty"] for event in (*events, *more) if event["kind"] == r.TRADE]
    assert traded == [1] * 50
    assert send(lib, book, [cancel(9)])[0] == 0


def test_window_moves_only_while_a_symbol_is_empty(lib, book):
    assert send(lib, book, [enter(1, 0, 10, 2000)])[0] == 0
    assert lib.wirematch_window(book, 0, 500) == -errno.EBUSY
    assert lib.wirematch_window(book, 1, 500) == 0
    assert send(lib, book, [cancel(1)])[0] == 0 and lib.wirematch_window(book, 0, 500) == 0


def test_best_price_counts_what_stands_there(lib, book):
    best = Best()
    lib.wirematch_top(book, 0, 0, ctypes.byref(best))
    assert (best.price_ticks, best.qty, best.orders) == (-1, 0, 0)
    lib.wirematch_top(book, 0, 1, ctypes.byref(best))
    assert (best.price_ticks, best.qty, best.orders) == (2147483647, 0, 0)
    for order, price in ((1, 2000), (3, 9000)):               # in the ladder, and far above it
        send(lib, book, [enter(order, 0, 10, price), enter(order + 1, 0, 25, price)])
        lib.wirematch_top(book, 0, 0, ctypes.byref(best))
        assert (best.price_ticks, best.qty, best.orders) == (price, 35, 2)


def test_every_code_has_words_of_its_own(lib):
    codes = [0, *(-getattr(errno, name) for name in ("EINVAL", "EPROTO", "E2BIG", "ENOMEM", "EBUSY",
                                                     "ENOBUFS", "EAGAIN", "EBADMSG")), -9999]
    assert len({lib.wirematch_strerror(code) for code in codes}) == len(codes)
    assert lib.wirematch_cpu()


def test_another_cpu_can_be_named(tmp_path, folder):
    """A library for any CPU of the last ten years still gives the same trades."""
    if subprocess.run(["uname", "-m"], capture_output=True, text=True).stdout.strip() != "x86_64":
        pytest.skip("the CPU named here is an x86-64")
    library = build_core.build(tmp_path, "x86-64-v3")
    loaded = ctypes.CDLL(str(library))
    loaded.wirematch_cpu.restype = ctypes.c_char_p
    assert loaded.wirematch_cpu() == b"x86-64-v3"


def test_extent_that_is_no_product_is_refused(monkeypatch):
    true = build_core._book
    monkeypatch.setattr(build_core, "_book", lambda sizes: {
        name: (rows + 1, columns, size) for name, (rows, columns, size) in true(sizes).items()})
    with pytest.raises(build_core.PlanError, match="neither a product"):
        build_core.plan()

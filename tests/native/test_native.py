"""The C library: checksums against published values, sockets, rights, and the cffi contract."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import native
from appliance.native import ffi, lib

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("function", ["wm_crc32c", "wm_crc32c_table"])
@pytest.mark.parametrize(("data", "crc"), [
    (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C), (b"123456789", 0xE3069283), (b"", 0)])
def test_crc32c_gives_the_published_values_of_rfc_3720(function, data, crc):
    assert getattr(lib, function)(0, data, len(data)) == crc


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 300))
def test_crc32c_of_parts_continues_and_both_forms_agree(data, cut):
    whole = lib.wm_crc32c(0, data, len(data))
    head, tail = data[:cut], data[cut:]
    assert whole == lib.wm_crc32c_table(0, data, len(data))
    assert whole == lib.wm_crc32c(lib.wm_crc32c(0, head, len(head)), tail, len(tail))


def test_clocks_agree_with_the_operating_system():
    import time
    before, ours, after = time.monotonic_ns(), lib.wm_monotonic_ns(), time.monotonic_ns()
    assert before <= ours <= after
    before, ours, after = time.time_ns(), lib.wm_realtime_ns(), time.time_ns()
    assert before <= ours <= after
    first = lib.wm_tsc()
    assert lib.wm_tsc() > first


def test_every_prototype_is_exported_for_compiled_kernels():
    names = re.findall(r"\b(wm_\w+)\(", (ROOT / "native" / "api.h").read_text())
    assert len(names) > 40
    import llvmlite.binding
    missing = [name for name in names if not llvmlite.binding.address_of_symbol(name)]
    assert missing == []


def test_api_header_is_free_of_what_cffi_cannot_read():
    text = (ROOT / "native" / "api.h").read_text()
    assert not re.search(r"^\s*#", text, re.MULTILINE)


def test_errors_name_what_was_tried_and_what_to_do():
    with pytest.raises(OSError, match=r"opening a door: .*\(ENOENT\); bring a key") as problem:
        native.check(-2, "opening a door", "bring a key")
    assert problem.value.errno == 2
    assert native.check(5, "opening a door") == 5


@pytest.fixture
def loopback():
    with (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
          socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other):
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        yield one, other


def test_a_silenced_socket_hears_nothing_until_the_filter_is_gone(loopback):
    one, other = loopback
    assert lib.wm_socket_drop_all(one.fileno(), 1) == 0
    other.sendto(b"unheard", one.getsockname())
    assert lib.wm_wait_readable(one.fileno(), 50_000_000) == 0
    assert lib.wm_socket_drop_all(one.fileno(), 0) == 0
    assert lib.wm_socket_drop_all(one.fileno(), 0) == 0
    other.sendto(b"heard", one.getsockname())
    assert lib.wm_wait_readable(one.fileno(), 1_000_000_000) == 1
    assert one.recv(100) == b"heard"


def test_receive_of_a_closed_descriptor_is_an_error_number():
    frames, descs = np.zeros(64 * 2048, np.uint8), np.zeros(128, np.uint64)
    result = lib.wm_socket_rx(-1, ffi.cast("uint8_t *", frames.ctypes.data), 0, 64,
                              ffi.cast("uint64_t *", descs.ctypes.data), 0, 0)
    assert result == -9


@pytest.mark.skipif(os.geteuid() != 0, reason="giving root's rights away needs root")
def test_rights_are_gone_for_good_after_the_drop():
    program = """
import os
from appliance.native import lib
assert lib.wm_capabilities() > 0
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
assert lib.wm_no_new_privileges() == 0
assert lib.wm_capabilities() == 0
assert lib.wm_xsk_socket() == -1
assert lib.wm_new_network_namespace() == -1
try:
    os.setuid(0)
except PermissionError:
    print("nobody")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert done.stdout == "nobody\n", done.stderr


def test_no_new_executable_memory_can_be_asked_for_where_the_kernel_knows_it():
    if lib.wm_write_execute_denied() < 0:
        pytest.skip("this kernel has no PR_SET_MDWE (it came with 6.3)")
    program = """
import mmap
from appliance.native import lib
assert lib.wm_deny_write_execute() == 0 and lib.wm_write_execute_denied() == 1
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert done.stdout == "refused\n", done.stderr


def test_a_build_without_libbpf_answers_enosys(tmp_path):
    stubs = tmp_path / "stubs.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-DWM_NO_BPF", "-Wall", "-Werror",
                    "-Wno-unused-parameter", str(ROOT / "native" / "xdp.c"), "-o", str(stubs)],
                   check=True)
    import ctypes
    plain = ctypes.CDLL(str(stubs))
    names = re.findall(r"\b(wm_(?:bpf|map|xdp|possible)\w*)\(",
                       (ROOT / "native" / "api.h").read_text())
    assert len(names) >= 18
    for name in names:
        assert getattr(plain, name)(0, 0, 0, 0, 0, 0, 0, 0, 0) == -38, name


def test_a_library_rebuilt_from_the_same_sources_is_not_stale():
    sys.path.insert(0, str(ROOT / "native"))
    try:
        import build
    finally:
        sys.path.remove(str(ROOT / "native"))
    assert {path.name for path in build.sources()} >= {"xsk.c", "xdp.c", "socket.c", "crc.c"}
    assert build.TARGET == Path(native.path)

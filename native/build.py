"""Builds `appliance/_native.abi3.so`: reads api.h as cffi's cdef and compiles every native/*.c.

Run as `python native/build.py [--if-stale]`. Links libbpf where its headers are installed; without
them the BPF functions answer ENOSYS and the plain-socket rung still works. Where pkg-config finds
libdpdk, `appliance/_dpdk.so` is built too, from native/dpdk/: a library apart, loaded only by who
wants a DPDK port, so that nothing else needs DPDK. A finished file replaces the old one in one
step, so a running process keeps the library it has loaded.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cffi

NATIVE = Path(__file__).resolve().parent
TARGET = NATIVE.parent / "appliance" / "_native.abi3.so"
DPDK_TARGET = TARGET.with_name("_dpdk.so")
DPDK_LIBRARIES = ["-lrte_eal", "-lrte_ethdev", "-lrte_mbuf", "-lrte_mempool"]
WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter"]
FLAGS = ["-O2", "-g0", "-std=gnu11", "-fvisibility=default", "-fno-semantic-interposition"]


def sources() -> list[Path]:
    """Every C file of this room, in a fixed order."""
    return sorted(NATIVE.glob("*.c"))


def is_stale() -> bool:
    """True when the library is missing or older than any source, header or this file."""
    return _older(TARGET, [*sources(), *NATIVE.glob("*.h"), *NATIVE.glob("gen/*.h")])


def _older(target, inputs):
    if not target.exists():
        return True
    newest = max(path.stat().st_mtime_ns for path in (*inputs, Path(__file__)))
    return newest > target.stat().st_mtime_ns


def has_libbpf() -> bool:
    """True when a program that uses libbpf compiles and links."""
    compiler = os.environ.get("CC", "cc").split()
    program = b"#include <bpf/libbpf.h>\nint main(void){return libbpf_major_version() < 1;}\n"
    with tempfile.TemporaryDirectory() as folder:
        command = [*compiler, "-x", "c", "-", "-o", f"{folder}/probe", "-lbpf", "-lelf", "-lz"]
        return subprocess.run(command, input=program, capture_output=True).returncode == 0


def build() -> Path:
    """Compiles and links the library in a temporary folder and moves it into place."""
    with_bpf = has_libbpf()
    ffi = cffi.FFI()
    ffi.cdef((NATIVE / "api.h").read_text())
    ffi.set_source(
        "appliance._native",
        '#include "native.h"',
        sources=[str(path) for path in sources()],
        include_dirs=[str(NATIVE)],
        libraries=["bpf", "elf", "z"] if with_bpf else [],
        define_macros=[] if with_bpf else [("WM_NO_BPF", "1")],
        extra_compile_args=FLAGS + WARNINGS,
        py_limited_api=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        built = ffi.compile(tmpdir=folder, verbose=False)
        fresh = TARGET.with_name(f".{TARGET.name}.{os.getpid()}")
        shutil.copyfile(built, fresh)
        fresh.chmod(0o755)
        os.replace(fresh, TARGET)
    print(f"{TARGET.relative_to(NATIVE.parent)}: built {'with' if with_bpf else 'without'} libbpf")
    return TARGET


def dpdk_flags() -> list[str]:
    """What the compiler needs for libdpdk, [] where pkg-config does not find it."""
    try:
        done = subprocess.run(["pkg-config", "--cflags", "--libs-only-L", "libdpdk"],
                              capture_output=True, text=True, check=False)
    except OSError:
        return []
    return done.stdout.split() if done.returncode == 0 else []


def build_dpdk(if_stale: bool) -> None:
    """Builds the DPDK shim; where libdpdk is not installed there is none, nor an older one."""
    flags, sources_of = dpdk_flags(), sorted((NATIVE / "dpdk").glob("*.c"))
    name = DPDK_TARGET.relative_to(NATIVE.parent)
    if not flags:
        DPDK_TARGET.unlink(missing_ok=True)
        print(f'{name}: not built, libdpdk is not installed; only interface.mode = "dpdk" needs it')
        return
    if if_stale and not _older(DPDK_TARGET, [*sources_of, NATIVE / "dpdk.h"]):
        return
    fresh = DPDK_TARGET.with_name(f".{DPDK_TARGET.name}.{os.getpid()}")
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-shared", "-fPIC", *FLAGS, *WARNINGS, "-o", str(fresh),
                    *map(str, sources_of), *flags, *DPDK_LIBRARIES], check=True)
    os.replace(fresh, DPDK_TARGET)
    print(f"{name}: built")


if __name__ == "__main__":
    only_stale = "--if-stale" in sys.argv
    if not only_stale or is_stale():
        build()
    build_dpdk(only_stale)

"""Builds `appliance/_native.abi3.so`: reads api.h as cffi's cdef and compiles every native/*.c.

Run as `python native/build.py [--if-stale]`. Links libbpf where its headers are installed; without
them the BPF functions answer ENOSYS and the plain-socket rung still works. The finished file
replaces the old one in one step, so a running process keeps the library it has loaded.
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
WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter"]
FLAGS = ["-O2", "-g0", "-std=gnu11", "-fvisibility=default", "-fno-semantic-interposition"]


def sources() -> list[Path]:
    """Every C file of this room, in a fixed order."""
    return sorted(NATIVE.glob("*.c"))


def is_stale() -> bool:
    """True when the library is missing or older than any source, header or this file."""
    if not TARGET.exists():
        return True
    inputs = [*sources(), *NATIVE.glob("*.h"), *NATIVE.glob("gen/*.h"), Path(__file__)]
    return max(path.stat().st_mtime_ns for path in inputs) > TARGET.stat().st_mtime_ns


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


if __name__ == "__main__":
    if "--if-stale" not in sys.argv or is_stale():
        build()

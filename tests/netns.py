"""Namespaces for tests: the tool's own helper, and the reason to skip where they cannot be made.

Namespaces have no name and live as long as a descriptor of this process, so that a killed test run
leaves nothing behind.
"""

import os
from pathlib import Path

import pytest

from tools.netns import Namespace, mac_of, veth_pair, why_not

__all__ = ["Namespace", "mac_of", "needs_bpf", "needs_namespaces", "veth_pair"]

_REASON = why_not()
_PROGRAM = Path(__file__).resolve().parents[1] / "bpf" / "steer.bpf.o"

needs_namespaces = pytest.mark.skipif(bool(_REASON), reason=_REASON or "can be made")
needs_bpf = pytest.mark.skipif(
    os.geteuid() != 0 or not _PROGRAM.exists(),
    reason="loading BPF programs needs root" if os.geteuid()
    else f"{_PROGRAM.name} is not built; run: make -C bpf")

"""The files of a replay as one capture: merged by time, or one after the other."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tools import pcap as pcap_file
from tools.pcap import Pcap, PcapError

GAP_NS = 1_000_000           # between two files that follow each other


def read(paths, limit=None, drop_cut_tail=False, in_turn=False) -> Pcap:
    """All packets of the files, the first `limit` of them; `path` names them together.

    By time, and at the same time in the order of the files; in_turn: each file after the one
    before, beginning GAP_NS after its last packet. Raises PcapError and OSError.
    """
    parts = [pcap_file.read(path, limit, drop_cut_tail) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if not len(part):
            raise PcapError(f"{path} holds no packets")
    if len(parts) == 1:
        return parts[0]
    if len({part.link_type for part in parts}) > 1:
        kinds = ", ".join(f"{part.path} {part.link_type}" for part in parts)
        raise PcapError(f"the files have different link types: {kinds}; replay them apart")
    return _joined(parts, limit, in_turn)


def _joined(parts, limit, in_turn):
    """One capture of several: their bytes side by side, their packets in order."""
    shifts = np.cumsum([0] + [part.data.size for part in parts[:-1]])
    times = [part.times_ns for part in parts]
    if in_turn:
        for i in range(1, len(times)):
            times[i] = times[i] - times[i].min() + times[i - 1].max() + GAP_NS
    else:                                  # a file's own order is kept, whatever its clock did
        times = [np.maximum.accumulate(each) for each in times]
    times = np.concatenate(times)
    order = np.argsort(times, kind="stable")[:limit]
    offsets = np.concatenate([part.offsets + shift
                              for part, shift in zip(parts, shifts, strict=True)])
    return replace(parts[0], path=Path("+".join(part.path.name for part in parts)),
                   data=np.concatenate([part.data for part in parts]), offsets=offsets[order],
                   lengths=np.concatenate([part.lengths for part in parts])[order],
                   times_ns=times[order], snap_sz=max(part.snap_sz for part in parts),
                   cut_tail=any(part.cut_tail for part in parts))

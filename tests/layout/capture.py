"""Puts bytes into a capture file and asks tshark what it sees: for the tests of this folder."""

import shutil
import subprocess
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

DISSECTOR = Path(__file__).resolve().parents[2] / "tools" / "wirematch.lua"
_LINK = dict(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
FEED_PORT, ORDER_PORT, SOUP_PORT = 7001, 7002, 7003
BROKEN = "_ws.malformed || _ws.expert.severity >= 8388608"


def datagram(payload, port):
    """A UDP frame between two made-up addresses."""
    addresses = IP(src="192.0.2.1", dst="192.0.2.2")
    return Ether(**_LINK) / addresses / UDP(sport=5555, dport=port) / payload


def stream(packets):
    """TCP frames of one connection, one SoupBinTCP packet each, clients' and servers' apart."""
    frames, seq = [], {"in": 1, "out": 1}
    for direction, raw in packets:
        way = (dict(src="192.0.2.1", dst="192.0.2.2"), dict(sport=5555, dport=SOUP_PORT))
        if direction == "out":
            way = (dict(src="192.0.2.2", dst="192.0.2.1"), dict(sport=SOUP_PORT, dport=5555))
        frames.append(Ether(**_LINK) / IP(**way[0]) / TCP(
            flags="PA", seq=seq[direction], ack=seq["out" if direction == "in" else "in"],
            **way[1]) / raw)
        seq[direction] += len(raw)
    return frames


def write(path, frames):
    """The capture file, as text for a command line."""
    wrpcap(str(path), frames)
    return str(path)


def tshark(capture, *arguments):
    """The lines tshark prints; skips when it is not installed."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed; install it with: apt-get install tshark")
    done = subprocess.run(["tshark", "-r", capture, *arguments], capture_output=True, text=True,
                          timeout=1800, check=True)
    assert "Lua Error" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done.stdout.splitlines()


def fields(capture, names, *arguments):
    """Per frame {field name: value} of the named fields that occur; several values joined by |."""
    chosen = [part for name in names for part in ("-e", name)]
    lines = tshark(capture, *arguments, "-T", "fields", "-E", "separator=/t", "-E",
                   "aggregator=|", *chosen)
    return [{name: cell for name, cell in zip(names, line.split("\t"), strict=True) if cell}
            for line in lines]


def broken_frames(capture, *arguments):
    """Numbers of the frames that tshark finds malformed or in error."""
    return [int(line) for line in tshark(capture, *arguments, "-Y", BROKEN, "-T", "fields", "-e",
                                         "frame.number")]

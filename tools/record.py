"""`wirematch record`: what a subscriber hears of a feed, written to a pcap file.

Both feeds are joined and every packet is written as it came, A and B apart by their groups, with
Ethernet, IPv4 and UDP headers made anew around the payload (a socket does not show them). Holes are
asked for and the answers written too. `--messages FILE` also writes each ITCH message once and in
order, in the day-file form: a two-byte length before each.
"""

import contextlib
import signal
import socket
import struct
import sys
import time

import click

from tools.options import Finite

_RECORD = struct.Struct("<IIII")
_MAC = bytes.fromhex("020000000000")


def checksum(data: bytes) -> int:
    """The internet checksum of data (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(payload: bytes, source: tuple, destination: tuple) -> bytes:
    """An Ethernet frame carrying the payload between two (ip, port), checksums complete."""
    source_ip, to_ip = socket.inet_aton(source[0]), socket.inet_aton(destination[0])
    size = 8 + len(payload)
    udp = struct.pack(">HHHH", source[1], destination[1], size, 0)
    pseudo = source_ip + to_ip + struct.pack(">BBH", 0, 17, size)
    udp = udp[:6] + struct.pack(">H", checksum(pseudo + udp + payload) or 0xFFFF)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + size, 0, 0x4000, 1, 17, 0) + source_ip + to_ip
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    first = int.from_bytes(to_ip, "big")
    mac = (b"\x01\x00\x5e" + (first & 0x7FFFFF).to_bytes(3, "big") if first >> 28 == 14 else _MAC)
    return mac + _MAC + b"\x08\x00" + head + udp + payload


class Recorder:
    """Collects packets of feeds as pcap records; `flush` writes what has gathered. ip: where they
    are heard."""

    def __init__(self, path, ip):
        from tools.pcap import Writer            # compiled: not for --help
        self.writer, self.ip = Writer(path), ip
        self.parts, self.count = [], 0

    def of(self, partition):
        """The on_packet of a FeedHandler of the partition: it takes (side, payload), side "a", "b"
        or "rerequest", heard just now."""
        origin = (partition.ip, partition.order_port)
        ends = {"a": (origin, (partition.group_a, partition.feed_port)),
                "b": (origin, (partition.group_b, partition.feed_port)),
                "rerequest": ((partition.rerequest_ip, partition.rerequest_port), (self.ip, 1))}
        return lambda side, payload: self._packet(payload, *ends[side])

    def _packet(self, payload, source, destination):
        now, data = time.time_ns(), frame(payload, source, destination)
        self.parts.append(_RECORD.pack(now // 10**9, now % 10**9, len(data), len(data)) + data)
        self.count += 1
        if len(self.parts) >= 4096:
            self.flush()

    def flush(self) -> None:
        """Writes what has gathered."""
        if self.parts:
            self.writer.write_records(b"".join(self.parts), len(self.parts))
            self.parts = []

    def close(self) -> None:
        """The file is complete."""
        self.flush()
        self.writer.close()


def follow(handler, recorder, seconds, report) -> None:
    """Records until the session ends, the time is over, Ctrl-C or SIGTERM.

    About once a second what has gathered is written, so a killed recorder loses no more than that.
    FeedError when the messages contradict each other.
    """
    deadline = time.monotonic() + seconds if seconds else float("inf")
    told, stopped = 0.0, []
    handlers = {number: signal.signal(number, lambda *_: stopped.append(True))
                for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not (handler.ended or stopped) and time.monotonic() < deadline:
            handler.poll(0.1)
            if time.monotonic() - told >= 1.0:
                told = time.monotonic()
                recorder.flush()
                report(handler, recorder)
    finally:
        for number, before in handlers.items():
            signal.signal(number, before)


def _progress(handler, recorder):
    facts = handler.statistics()
    print(f"\r{recorder.count} packets, {facts['messages']} messages, {facts['trades']} trades, "
          f"missing {facts['missing']}, crossed {facts['crossed']}", end="", file=sys.stderr,
          flush=True)


@click.command("record", short_help="Write a feed to a pcap file, from the subscriber's side.")
@click.argument("channel", type=click.Path(exists=True, dir_okay=False))
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="FILE.pcap to write.")
@click.option("--ip", required=True, help="Address of the interface to join on.")
@click.option("--partition", default=0, show_default=True, type=click.IntRange(0),
              help="Whose feed.")
@click.option("--seconds", default=0.0, type=Finite(0),
              help="Stop after this time (0: at the end of the session).")
@click.option("--messages", type=click.Path(dir_okay=False),
              help="Also write every ITCH message once, in order, as a day file.")
def command(channel, out, ip, partition, seconds, messages):
    """Record the feed described by CHANNEL (the channel.json of a running appliance)."""
    from appliance.client.channel import ChannelError, load
    try:
        partitions = load(channel).partitions
        part = partitions[partition]
    except ChannelError as error:
        raise click.ClickException(str(error)) from error
    except IndexError:
        raise click.ClickException(f"--partition {partition}: {channel} has "
                                   f"{len(partitions)} partition(s), from 0") from None
    with contextlib.ExitStack() as stack:
        facts = _record(part, ip, out, messages, seconds, stack)
    if facts["missing"]:
        raise click.ClickException(f"{facts['missing']} messages are missing")


def _record(part, ip, out, messages, seconds, stack) -> dict:
    """Records; the handler's statistics. ClickException in words; `stack` closes the files."""
    from appliance.client.book import FeedError
    from appliance.client.feed import FeedHandler
    try:
        recorder = Recorder(out, ip)
        stack.callback(recorder.close)
        day = stack.enter_context(open(messages, "wb")) if messages else None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: cannot be written: {error.strerror}"
                                   ) from error
    hook = (lambda _, m: day.write(len(m).to_bytes(2, "big") + m)) if day else None
    try:
        handler = FeedHandler(part, ip, hook, on_packet=recorder.of(part))
    except OSError as error:
        raise click.ClickException(
            f"joining {part.group_a} and {part.group_b} on {ip}: {error.strerror}; give --ip the "
            "address of an interface of this machine") from error
    stack.callback(handler.close)
    try:
        follow(handler, recorder, seconds, _progress)
    except FeedError as error:
        raise click.ClickException(f"the feed contradicts itself, and {out} ends there: {error}"
                                   ) from error
    finally:
        _progress(handler, recorder)
        print(file=sys.stderr)
    return handler.statistics()

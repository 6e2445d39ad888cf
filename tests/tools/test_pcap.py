"""The pcap reader and writer, judged by scapy, capinfos, editcap and real captures."""

import gzip
import shutil
import subprocess

import numpy as np
import pytest
import zstandard
from scapy.utils import RawPcapReader, RawPcapWriter

from tests.shared_data import shared_file
from tools import pcap

KINDS = [(nanosecond, big) for nanosecond in (False, True) for big in (False, True)]
TIME_NS = 1_700_000_000_123_456_000


def packets(count):
    """Different frames of different lengths, half of them at the time of the one before."""
    random = np.random.default_rng(count)
    return [(TIME_NS + number // 2 * 7_000_000_000 + number // 2 * 1000,
             random.bytes(int(random.integers(14, 1514)))) for number in range(count)]


def listed(capture):
    return [(time_ns, bytes(frame)) for time_ns, frame in capture]


def tool(name):
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed (Debian package tshark)")
    return found


@pytest.mark.parametrize(("nanosecond", "big"), KINDS)
def test_a_file_written_here_is_read_alike_by_scapy_and_by_us(tmp_path, nanosecond, big):
    path, wanted = tmp_path / "a.pcap", packets(50)
    assert pcap.write(path, wanted, nanosecond=nanosecond, big_endian=big) == 50
    with RawPcapReader(str(path)) as reader:
        unit = 1 if nanosecond else 1000
        theirs = [(meta.sec * 10**9 + meta.usec * unit, data) for data, meta in reader]
    ours = pcap.read(path)
    assert theirs == wanted == listed(ours)
    assert (ours.nanosecond, ours.big_endian, ours.link_type) == (nanosecond, big, 1)


@pytest.mark.parametrize(("nanosecond", "big"), KINDS)
def test_a_file_written_by_scapy_is_read(tmp_path, nanosecond, big):
    path, wanted = tmp_path / "a.pcap", packets(20)
    with RawPcapWriter(str(path), linktype=1, endianness=">" if big else "<",
                       nano=nanosecond) as writer:
        writer.write_header(None)
        for time_ns, frame in wanted:
            unit = 1 if nanosecond else 1000
            writer.write_packet(frame, sec=time_ns // 10**9, usec=time_ns % 10**9 // unit)
    assert listed(pcap.read(path)) == wanted


@pytest.mark.parametrize(("nanosecond", "big"), KINDS)
def test_capinfos_counts_what_we_count(tmp_path, nanosecond, big):
    path = tmp_path / "a.pcap"
    pcap.write(path, packets(123), nanosecond=nanosecond, big_endian=big)
    told = subprocess.run([tool("capinfos"), "-M", "-c", "-d", "-t", str(path)], check=True,
                          capture_output=True, text=True).stdout
    assert "Number of packets:   123" in told
    assert f"{int(pcap.read(path).lengths.sum())} bytes" in told
    assert ("nsecpcap" in told) == nanosecond


def test_an_index_of_many_chunks_is_as_one_of_a_single_chunk(tmp_path, monkeypatch):
    path, wanted = tmp_path / "a.pcap", packets(100)
    pcap.write(path, wanted)
    monkeypatch.setattr(pcap, "_CHUNK", 7)
    assert listed(pcap.read(path)) == wanted
    assert listed(pcap.read(path, limit=10)) == wanted[:10]
    assert listed(pcap.read(path, limit=1000)) == wanted


def test_packets_appended_in_several_writes_follow_each_other(tmp_path):
    path, wanted = tmp_path / "a.pcap", packets(9)
    with pcap.Writer(path) as writer:
        for part in (wanted[:4], wanted[4:]):
            joined = np.frombuffer(b"".join(frame for _, frame in part), np.uint8)
            sizes = np.array([len(frame) for _, frame in part])
            writer.write([time_ns for time_ns, _ in part], joined, np.cumsum(sizes) - sizes, sizes)
        writer.write([], np.empty(0, np.uint8), [], [])
    assert writer.count == 9 and listed(pcap.read(path)) == wanted


def test_a_packet_outside_of_the_frames_is_not_written(tmp_path):
    with pcap.Writer(tmp_path / "a.pcap") as writer, pytest.raises(ValueError, match="outside"):
        writer.write([1], np.zeros(60, np.uint8), [10], [60])


def test_the_iex_capture_has_121314_whole_packets_and_one_that_is_cut(tmp_path):
    packed, path = shared_file("data/iex_DEEP10.pcap.gz"), tmp_path / "iex.pcap"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    assert len(pcap.read(packed, drop_cut_tail=True)) == 121_314
    with pytest.raises(pcap.PcapError, match=r"record 121315, .* is cut: it needs 1506 bytes"):
        pcap.read(path)
    capture = pcap.read(path, drop_cut_tail=True)
    assert len(capture) == 121_314 and capture.cut_tail
    with RawPcapReader(str(path)) as reader:
        for number, (data, meta) in enumerate(reader):
            if number == len(capture):
                break
            if number % 97 == 0:
                assert bytes(capture.packet(number)) == data
                assert capture.times_ns[number] == meta.sec * 10**9 + meta.usec * 1000
    assert number >= 121_313


def test_every_captured_frame_of_the_data_folder_is_read_as_scapy_reads_it():
    found = sorted(shared_file("data/frames").glob("*.pcap"))
    assert len(found) >= 29
    for path in found:
        with RawPcapReader(str(path)) as reader:
            assert [bytes(frame) for _, frame in pcap.read(path)] == [data for data, _ in reader]


@pytest.mark.parametrize("missing", [1, 15, 16, 17, 60])
def test_a_file_cut_in_its_last_record_is_refused_or_read_without_it(tmp_path, missing):
    path, wanted = tmp_path / "a.pcap", packets(5)[:4] + [(TIME_NS + 10**11, bytes(60))]
    pcap.write(path, wanted)
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(pcap.PcapError, match=r"record 5, at byte \d+, is cut.*The 4 records"):
        pcap.read(path)
    capture = pcap.read(path, drop_cut_tail=True)
    assert listed(capture) == wanted[:4] and capture.cut_tail


def test_an_empty_capture_has_no_packets(tmp_path):
    path = tmp_path / "a.pcap"
    pcap.write(path, [])
    assert len(pcap.read(path)) == 0 and not pcap.read(path).cut_tail


@pytest.mark.parametrize("precision", ["pcapng", "nsecpcap", "pcap"])
def test_a_pcapng_file_made_by_editcap_is_read(tmp_path, precision):
    source, path, back = (tmp_path / name for name in ("a.pcap", "b.pcapng", "c.pcap"))
    pcap.write(source, packets(30), nanosecond=precision != "pcap")
    subprocess.run([tool("editcap"), "-F", "pcapng", str(source), str(path)], check=True)
    assert path.read_bytes()[:4] == pcap.PCAPNG
    capture = pcap.read(path)
    assert listed(capture) == listed(pcap.read(source)) == packets(30)
    assert (capture.link_type, len(pcap.read(path, limit=7))) == (1, 7)
    subprocess.run([tool("editcap"), "-F", "nsecpcap", str(path), str(back)], check=True)
    assert listed(pcap.read(back)) == packets(30)


def test_a_merged_pcapng_of_two_interfaces_is_in_the_order_of_mergecap(tmp_path):
    first, second, merged = (tmp_path / name for name in ("a.pcap", "b.pcap", "c.pcapng"))
    pcap.write(first, packets(20))
    pcap.write(second, [(time_ns + 500, b"second" + frame) for time_ns, frame in packets(20)],
               nanosecond=False)
    subprocess.run([tool("mergecap"), "-F", "pcapng", "-w", str(merged), str(first), str(second)],
                   check=True)
    told = subprocess.run([tool("tshark"), "-r", str(merged), "-T", "fields", "-e",
                           "frame.time_epoch", "-e", "frame.len"], check=True,
                          capture_output=True, text=True).stdout.split()
    capture = pcap.read(merged)
    assert len(capture) == 40
    assert [f"{int(t) // 10**9}.{int(t) % 10**9:09d}" for t in capture.times_ns] == told[0::2]
    assert [str(size) for size in capture.lengths] == told[1::2]


def block(kind, body, order="little"):
    """One pcapng block."""
    body += bytes(-len(body) % 4)
    size = (len(body) + 12).to_bytes(4, order)
    return kind.to_bytes(4, order) + size + body + size


def section(order="little"):
    return block(0x0A0D0D0A, (0x1A2B3C4D).to_bytes(4, order) + b"".join(
        n.to_bytes(2, order) for n in (1, 0)) + b"\xff" * 8, order)


def interface(order="little", options=b"", link=1, snap_sz=0):
    return block(1, link.to_bytes(2, order) + bytes(2) + snap_sz.to_bytes(4, order) + options,
                 order)


def enhanced(ticks, frame, order="little", number=0):
    words = (number, ticks >> 32, ticks & 0xFFFF_FFFF, len(frame), len(frame))
    return block(6, b"".join(word.to_bytes(4, order) for word in words) + frame, order)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(("resolution", "ticks", "time_ns"), [
    (6, 1_700_000_000_123_456, 1_700_000_000_123_456_000), (9, 17 * 10**17 + 5, 17 * 10**17 + 5),
    (3, 1_700_000_000_123, 1_700_000_000_123 * 10**6), (12, 17 * 10**18 + 999, 17 * 10**15),
    (0x80 | 10, (17 << 10) | 512, 17_500_000_000), (0x80 | 32, (7 << 32) | 1 << 31, 7_500_000_000),
    (0x80 | 40, (7 << 40) | 1 << 38, 7_250_000_000)])
def test_every_unit_of_time_and_byte_order_of_pcapng_is_read(tmp_path, order, resolution, ticks,
                                                            time_ns):
    path, frame = tmp_path / "a.pcapng", bytes(range(61))
    options = b"".join(n.to_bytes(2, order) for n in (9, 1)) + bytes([resolution, 0, 0, 0])
    moved = b"".join(n.to_bytes(2, order) for n in (14, 8)) + (100).to_bytes(8, order)
    simple = block(3, (61).to_bytes(4, order) + frame, order)
    obsolete = block(2, (1).to_bytes(2, order) + bytes(2) + b"".join(
        n.to_bytes(4, order) for n in (ticks >> 32, ticks & 0xFFFF_FFFF, 61, 61)) + frame, order)
    path.write_bytes(section(order) + interface(order, options) + interface(order, options + moved)
                     + enhanced(ticks, frame, order) + block(5, bytes(8), order) + simple
                     + enhanced(ticks, frame, order, 1) + obsolete + section("little")
                     + interface() + enhanced(3, frame))
    shifted = time_ns + 100 * 10**9
    assert listed(pcap.read(path)) == [(when, frame) for when in (
        time_ns, time_ns, shifted, shifted, 3000)]


@pytest.mark.parametrize(("content", "words"), [
    (enhanced(1, bytes(60)), "names an interface that its section does not describe"),
    (interface() + enhanced(1, bytes(60))[:-4] + bytes(4), "impossible lengths"),
    (interface() + enhanced(1, bytes(60))[:-9], "is cut by the end of the file.*editcap"),
    (interface() + interface(link=101), r"link types \[1, 101\].*tshark"),
    (interface(snap_sz=40) + block(3, (60).to_bytes(4, "little") + bytes(40)), "snap length"),
    (b"\x0a\x0d\x0d\x0a" + bytes(24), "byte order 00000000"),
])
def test_a_pcapng_file_that_cannot_be_used_is_refused_in_words(tmp_path, content, words):
    path = tmp_path / "a.pcapng"
    path.write_bytes(section() + content)
    with pytest.raises(pcap.PcapError, match=words):
        pcap.read(path)


def test_a_pcapng_file_cut_in_its_last_block_is_read_without_it(tmp_path):
    path = tmp_path / "a.pcapng"
    path.write_bytes(section() + interface() + enhanced(5, bytes(60)) + enhanced(6, bytes(60))[:-3])
    capture = pcap.read(path, drop_cut_tail=True)
    assert listed(capture) == [(5000, bytes(60))] and capture.cut_tail


def test_compressed_files_are_unpacked(tmp_path):
    plain = tmp_path / "a.pcap"
    pcap.write(plain, packets(40))
    whole = plain.read_bytes()
    packer = zstandard.ZstdCompressor()
    for name, content in (("a.gz", gzip.compress(whole[:500]) + gzip.compress(whole[500:])),
                          ("a.zst", packer.compress(whole[:700]) + packer.compress(whole[700:]))):
        (tmp_path / name).write_bytes(content)
        assert listed(pcap.read(tmp_path / name)) == packets(40)
        (tmp_path / name).write_bytes(content[:-20])
        with pytest.raises(pcap.PcapError, match="cannot be unpacked|is cut"):
            pcap.read(tmp_path / name)


def test_frames_cut_by_a_snap_length_are_refused(tmp_path):
    source, path = tmp_path / "a.pcap", tmp_path / "b.pcap"
    pcap.write(source, [(TIME_NS, bytes(200))])
    subprocess.run([tool("editcap"), "-F", "pcap", "-s", "96", str(source), str(path)], check=True)
    with pytest.raises(pcap.PcapError, match="96 of the frame's 200 bytes.*-s 0"):
        pcap.read(path)


@pytest.mark.parametrize(("content", "words"), [
    (b"", "begins with nothing"), (b"\x00" * 40, "not a pcap file"),
    (gzip.compress(b"x" * 100, mtime=0), "not a pcap file"),
    (b"\xd4\xc3\xb2\xa1\x02\x00", "file header is cut"),
    (pcap.file_header() + bytes(8) + b"\xff" * 8, "file is damaged"),
])
def test_what_is_not_a_capture_is_refused_in_words(tmp_path, content, words):
    path = tmp_path / "a.pcap"
    path.write_bytes(content)
    with pytest.raises(pcap.PcapError, match=words) as caught:
        pcap.read(path)
    assert str(path) in str(caught.value)

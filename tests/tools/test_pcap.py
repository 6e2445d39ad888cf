"""The pcap reader and writer, judged by scapy, capinfos, editcap and real captures."""

import gzip
import shutil
import subprocess

import numpy as np
import pytest
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
    path = tmp_path / "iex.pcap"
    path.write_bytes(gzip.decompress(shared_file("data/iex_DEEP10.pcap.gz").read_bytes()))
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


def test_a_pcapng_file_is_refused_with_the_command_that_converts_it(tmp_path):
    source, path = tmp_path / "a.pcap", tmp_path / "b.pcapng"
    pcap.write(source, packets(3))
    subprocess.run([tool("editcap"), "-F", "pcapng", str(source), str(path)], check=True)
    with pytest.raises(pcap.PcapError, match="pcapng.*editcap -F pcap"):
        pcap.read(path)
    back = tmp_path / "c.pcap"
    subprocess.run([tool("editcap"), "-F", "nsecpcap", str(path), str(back)], check=True)
    assert listed(pcap.read(back)) == packets(3)


def test_frames_cut_by_a_snap_length_are_refused(tmp_path):
    source, path = tmp_path / "a.pcap", tmp_path / "b.pcap"
    pcap.write(source, [(TIME_NS, bytes(200))])
    subprocess.run([tool("editcap"), "-F", "pcap", "-s", "96", str(source), str(path)], check=True)
    with pytest.raises(pcap.PcapError, match="96 of the frame's 200 bytes.*-s 0"):
        pcap.read(path)


@pytest.mark.parametrize(("content", "words"), [
    (b"", "begins with nothing"), (b"\x00" * 40, "not a pcap file"),
    (gzip.compress(b"x" * 100), "gunzip"), (b"\xd4\xc3\xb2\xa1\x02\x00", "file header is cut"),
    (pcap.file_header() + bytes(8) + b"\xff" * 8, "file is damaged"),
])
def test_what_is_not_a_capture_is_refused_in_words(tmp_path, content, words):
    path = tmp_path / "a.pcap"
    path.write_bytes(content)
    with pytest.raises(pcap.PcapError, match=words) as caught:
        pcap.read(path)
    assert str(path) in str(caught.value)

"""Replay and its senders on real sockets: veth between namespaces of our own, and loopback."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.tools.received import frames, take
from tools import pcap
from tools.netns import Namespace, mac_of, veth_pair, why_not
from tools.replay import command
from tools.rewrite import rewrite
from tools.sender import RawSender, SendError, UdpSender, payloads

COMMAND = [sys.executable, "-c", "from tools.replay import command; command()"]
TIME_NS = 1_700_000_000_000_000_000


@pytest.fixture
def ends():
    """Two namespaces joined by wm0 (10.77.0.1) and wm1 (10.77.0.2)."""
    if why_not():
        pytest.skip(why_not())
    with Namespace() as left, Namespace() as right:
        veth_pair(left, "wm0", "10.77.0.1", right, "wm1", "10.77.0.2")
        yield left, right


@pytest.fixture
def loopback():
    """A namespace whose loopback has the addresses of an order pcap."""
    if why_not():
        pytest.skip(why_not())
    with Namespace() as home:
        for ip in ("10.77.0.1", "10.77.0.2"):
            home.run("ip", "addr", "add", f"{ip}/32", "dev", "lo")
        yield home


def frame_receiver(namespace, device):
    with namespace.entered():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        made.bind((device, 0x0800))
    made.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)             # SO_RCVBUFFORCE
    made.settimeout(60)
    return made


def udp_receiver(namespace, ip="10.77.0.1", port=26400):
    with namespace.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)
        made.bind((ip, port))
    made.settimeout(60)
    return made


def run(namespace, *arguments, **more):
    """The command inside a namespace: (exit code, output, complaints)."""
    process = namespace.popen(*COMMAND, *map(str, arguments), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, **more)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_frames_arrive_byte_for_byte_in_order(ends, orders):
    left, right = ends
    capture = pcap.read(orders)
    with frame_receiver(left, "wm0") as receiver:
        with right.entered():
            sender = RawSender(capture, "wm1")
        with sender:
            assert [sender.send(0, 300), sender.send(300, len(capture))] == [300, 704]
            assert sender.failed == 0
        assert take(receiver, 1004) == frames(capture)


def test_order_payloads_reach_a_udp_socket_over_raw_frames(ends, orders):
    left, right = ends
    capture = pcap.read(orders)
    with udp_receiver(left) as receiver:
        code, out, _ = run(right, orders, "--interface", "wm1", "-t", "--login-wait", 0.1,
                           "--to-mac", mac_of("10.77.0.1"))
        assert code == 0 and "1,004 packets" in out and "0 failed" in out
        assert take(receiver, 1004) == [frame[42:] for frame in frames(capture)]


def test_udp_sockets_send_from_the_captures_own_addresses(loopback, orders):
    capture = pcap.read(orders)
    ends_of = payloads(capture)
    with udp_receiver(loopback) as receiver:
        with loopback.entered():
            sender = UdpSender(capture)
        with sender:
            assert sender.send(0, len(capture)) == len(capture) and sender.failed == 0
            for index in range(len(capture)):
                data, source = receiver.recvfrom(2048)
                assert data == bytes(capture.packet(index))[42:]
                assert source == ("10.77.0.2", ends_of.sources[index, 1])
            assert sorted(sender.receivers) == [("10.77.0.2", 42001 + i) for i in range(4)]


def test_answers_come_to_the_senders_sockets(loopback, orders):
    with udp_receiver(loopback) as receiver:
        with loopback.entered():
            sender = UdpSender(pcap.read(orders))
        with sender:
            sender.send(0, 1)
            _, source = receiver.recvfrom(2048)
            receiver.sendto(b"answer", source)
            own = sender.receivers[source]
            own.settimeout(60)
            assert own.recv(100) == b"answer"


def test_payloads_need_no_rights_at_all(orders, receiver):
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*bare, *COMMAND, str(orders), "--socket", "-p", "5000", "--limit", "100", "--json",
         "--login-wait", "0", "--from", "127.0.0.1",
         "--to", "127.0.0.1:{}".format(receiver.getsockname()[1])],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["packets"] == 100
    assert take(receiver, 100) == [frame[42:] for frame in frames(pcap.read(orders))[:100]]


def test_raw_frames_without_the_right_to_send_them_say_what_to_do(ends, orders):
    _, right = ends
    process = right.popen("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", *COMMAND,
                          str(orders), "-i", "wm1", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "CAP_NET_RAW" in complaint and "sudo" in complaint and "--socket" in complaint


def test_readdressed_frames_have_right_checksums_and_the_file_is_untouched(orders, tmp_path):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    before, capture = orders.read_bytes(), pcap.read(orders)
    moved = rewrite(capture, destination=("192.0.2.9", 7000), destination_mac=bytes(range(6)),
                    source_mac=bytes(range(6, 12)),
                    sources={("10.77.0.2", 42002): ("192.0.2.1", 9), ("10.77.0.2", 0): (
                        "192.0.2.2", 0)})
    out = tmp_path / "moved.pcap"
    pcap.write(out, moved)
    rows = subprocess.run(
        ["tshark", "-r", out, "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T",
         "fields", *[part for field in ("ip.checksum.status", "udp.checksum.status", "ip.dst",
                                        "udp.dstport", "eth.dst", "eth.src", "ip.src",
                                        "udp.srcport") for part in ("-e", field)]],
        capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [row.split("\t") for row in rows]
    assert len(rows) == 1004
    assert {tuple(row[:6]) for row in rows} == {
        ("1", "1", "192.0.2.9", "7000", "00:01:02:03:04:05", "06:07:08:09:0a:0b")}
    assert {tuple(row[6:]) for row in rows} == {
        ("192.0.2.2", "42001"), ("192.0.2.1", "9"), ("192.0.2.2", "42003"), ("192.0.2.2", "42004")}
    assert [f[42:] for f in frames(moved)] == [f[42:] for f in frames(capture)]
    assert orders.read_bytes() == before and frames(capture) == frames(pcap.read(orders))


def test_frames_without_an_address_are_left_alone(tmp_path):
    arp = b"\xff" * 6 + bytes(6) + b"\x08\x06" + bytes(46)
    short = bytes(12) + b"\x08\x00\x45" + bytes(8) + b"\x11"
    path = tmp_path / "a.pcap"
    pcap.write(path, [(TIME_NS, arp), (TIME_NS, short)])
    capture = pcap.read(path)
    assert (payloads(capture).starts == -1).all()
    assert frames(rewrite(capture, destination=("192.0.2.9", 7000))) == [arp, short]
    with pytest.raises(pcap.PcapError, match="packet 1 is not a whole IPv4 UDP datagram"):
        UdpSender(capture)


def test_loops_and_limit_send_the_beginning_again(ends, orders):
    left, right = ends
    wanted = frames(pcap.read(orders))[:50] * 3
    with frame_receiver(left, "wm0") as receiver:
        code, out, _ = run(right, orders, "-i", "wm1", "-t", "-l", 3, "--limit", 50, "--json",
                           "--login-wait", 0)
        told = json.loads(out)
        assert (code, told["packets"], told["loops"], told["failed"]) == (0, 150, 3, 0)
        assert told["bytes"] == sum(map(len, wanted))
        assert take(receiver, 150) == wanted


def test_a_frame_too_long_for_the_interface_fails_alone(ends, tmp_path):
    left, right = ends
    path = tmp_path / "a.pcap"
    wanted = [mac_bytes() + b"\x08\x00" + bytes(size) for size in (60, 3000, 100)]
    pcap.write(path, [(TIME_NS, frame) for frame in wanted])
    with frame_receiver(left, "wm0") as receiver:
        code, out, _ = run(right, path, "-i", "wm1", "-t")
        assert code == 1 and "2 packets, 188 bytes" in out and "1 failed" in out
        assert "Message too long" in out
        assert take(receiver, 2) == [wanted[0], wanted[2]]


def mac_bytes():
    return b"".join(bytes.fromhex(mac_of(ip).replace(":", "")) for ip in ("10.77.0.1", "10.77.0.2"))


def test_an_interface_that_goes_down_stops_the_replay_in_words(ends, orders):
    _, right = ends
    with right.entered():
        sender = RawSender(pcap.read(orders), "wm1")
    with sender:
        assert sender.send(0, 10) == 10
        right.run("ip", "link", "set", "wm1", "down")
        with pytest.raises(SendError, match="is the interface still there"):
            sender.send(10, 20)


def test_interrupting_prints_the_summary(ends, orders):
    _, right = ends
    process = right.popen(*COMMAND, str(orders), "-i", "wm1", "-p", "200", "--login-wait", "0",
                          "--stats", "0.2", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    first = process.stderr.readline()
    assert "packets" in first
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "(stopped)" in out and "pps" in out
    sent = int(out.split(": ")[1].split(" packets")[0].replace(",", ""))
    assert 0 < sent < 1004


@pytest.mark.parametrize(("arguments", "words"), [
    (["-i", "nowhere0"], "no interface 'nowhere0' here; there are:"),
    (["-i", "lo", "-x", "nan"], "nan is not a finite number"),
    (["-i", "lo", "-p", "inf"], "inf is not a finite number"),
    (["-i", "lo", "--from", "here"], "'here' is not an IPv4 address"),
    (["-i", "lo", "-t", "-p", "5"], "-p and -t are two paces"),
    ([], "give --interface IF"), (["-i", "lo", "--socket"], "give --interface IF"),
    (["--socket"], "10.77.0.2:42001"), (["-i", "lo", "--to", "nothing"], "not an IPv4 address"),
    (["-i", "lo", "--to-mac", "x"], "not a MAC"), (["-i", "lo", "-p", "0"], "Invalid value"),
])
def test_what_cannot_be_replayed_is_refused_in_words(orders, arguments, words):
    said = CliRunner().invoke(command, [str(orders), *arguments])
    assert said.exit_code in (1, 2) and words in said.output


def test_a_file_that_is_no_capture_is_refused_in_words(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"not packets")
    said = CliRunner().invoke(command, [str(path), "-i", "lo"])
    assert said.exit_code == 1 and "not a pcap file" in said.output
    pcap.write(path, [])
    said = CliRunner().invoke(command, [str(path), "-i", "lo"])
    assert said.exit_code == 1 and "holds no packets" in said.output
    pcap.write(path, [(1, bytes(60))], link_type=101)
    said = CliRunner().invoke(command, [str(path), "-i", "lo"])
    assert said.exit_code == 1 and "link type 101" in said.output

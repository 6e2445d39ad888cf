"""`wirematch record` on a feed of loopback: what it writes, when, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from tests.client.feed_kit import END_OF_SESSION, HOME, Feed
from tools import pcap
from tools.record import command
from tools.sender import payloads

pytestmark = pytest.mark.alone

ROW = ("partition", "instance", "order_port", "group_a", "group_b", "feed_port", "rerequest_ip",
       "rerequest_port", "glimpse_port", "feed_session")
# Three System Events of ITCH 5.0: locate and tracking 0, midnight, code O, S, Q.
MESSAGES = [b"S" + bytes(10) + code for code in (b"O", b"S", b"Q")]


@pytest.fixture
def feed():
    made = Feed(MESSAGES)
    yield made
    made.close()


@pytest.fixture
def channel(feed, tmp_path):
    """The channel file of the feed."""
    ports = {"order_port": 9, "feed_port": feed.partition.feed_port,
             "rerequest_port": feed.partition.rerequest_port}
    row = {key: ports.get(key, getattr(feed.partition, key, None)) for key in ROW}
    row |= {"partition": 0, "instance": 1, "rerequest_ip": HOME, "feed_session": "326F010000",
            "symbols": [], "sessions": {}}
    path = tmp_path / "channel.json"
    path.write_text(json.dumps({"name": "x", "day": 326, "ip": HOME, "partitions": [row]}))
    return path


class Recording:
    """The command as a process of its own, sent to until it hears the feed."""

    def __init__(self, channel, out, *more):
        self.out = out
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from tools.record import command; command()", str(channel),
             "--out", str(out), "--ip", HOME, *more], stderr=subprocess.PIPE, text=True,
            cwd=os.getcwd())

    def until(self, true, sending):
        """Sends again and again until true()."""
        deadline = time.monotonic() + 60
        while not true():
            sending()
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.05)

    def end(self):
        _, words = self.process.communicate(timeout=60)
        return self.process.returncode, words


def heard(path):
    """The payloads in a recording, () while it is no pcap file yet."""
    try:
        capture = pcap.read(path)
    except (OSError, pcap.PcapError):
        return ()
    found = payloads(capture)
    return [capture.data[start:start + size].tobytes()
            for start, size in zip(found.starts.tolist(), found.sizes.tolist(), strict=True)]


def test_packets_are_on_the_disk_while_it_runs_and_sigterm_ends_it_well(feed, channel, tmp_path):
    out = tmp_path / "feed.pcap"
    run = Recording(channel, out, "--messages", str(tmp_path / "day"))
    whole = feed.packet(1, 3)
    try:
        run.until(lambda: whole in heard(out), lambda: feed.send(whole))
        run.process.send_signal(signal.SIGTERM)
        code, words = run.end()
    finally:
        run.process.kill()
        run.process.wait()
    assert (code, "Traceback" in words) == (0, False), words
    assert "3 messages, 0 trades, missing 0" in words
    assert (tmp_path / "day").read_bytes() == b"".join(b"\0\x0c" + each for each in MESSAGES)
    assert set(heard(out)) == {whole}


def test_end_of_session_ends_it_and_missing_messages_are_a_failure(feed, channel, tmp_path):
    run = Recording(channel, tmp_path / "feed.pcap", "--seconds", "20")
    try:
        run.until(lambda: heard(run.out), lambda: feed.send(feed.packet(1, 1)))
        feed.send(feed.packet(3, 1))                    # number 2 is on no feed, nobody answers
        feed.send(feed.bare(4, END_OF_SESSION))
        run.process.send_signal(signal.SIGINT)
        code, words = run.end()
    finally:
        run.process.kill()
        run.process.wait()
    assert code == 1 and "Error: 1 messages are missing" in words


@pytest.mark.parametrize("arguments, text", [
    (("--out", "/proc/none/feed.pcap"), "/proc/none/feed.pcap: cannot be written: No such file"),
    (("--out", "/dev/null", "--messages", "/proc/none/day"), "/proc/none/day: cannot be written"),
    (("--out", "/dev/null", "--ip", "192.0.2.1"), "give --ip the address of an interface"),
    (("--out", "/dev/null", "--partition", "1"), "has 1 partition(s), from 0"),
    (("--out", "/dev/null", "--partition", "-1"), "-1 is not in the range"),
    (("--out", "/dev/null", "--seconds", "nan"), "nan is not a finite number"),
])
def test_what_cannot_be_recorded_is_refused_in_words(channel, arguments, text):
    more = () if "--ip" in arguments else ("--ip", HOME)
    result = CliRunner().invoke(command, [str(channel), *arguments, *more])
    assert result.exit_code in (1, 2) and text in result.output
    assert isinstance(result.exception, SystemExit)

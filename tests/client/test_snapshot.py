"""A snapshot over TCP, and a feed that falls back to it when re-requests are not answered."""

import socket
import threading

import pytest

from appliance.client.book import Books
from appliance.client.channel import Partition
from appliance.client.snapshot import Joining, SnapshotRefused, fetch
from appliance.layout import record
from appliance.stages import soup
from tests.client.feed_kit import HOME, Feed
from tests.hot.core_kit import Kit, enter


def day(orders=300):
    """The feed messages of a real core's day."""
    kit = Kit(is_open=False)
    kit.command(record.DAY_START)
    for number in range(1, orders + 1):
        kit.take(enter(number, (b"B", b"S")[number % 2], 100, b"EXAMPLE ",
                       1633400 + 100 * (number % 7)))
    return kit.feed()


class Desk(threading.Thread):
    """A GLIMPSE server that sends what it is told: `packets` to each login, in small pieces."""

    def __init__(self, packets):
        super().__init__(daemon=True)
        self.packets, self.logins = packets, []
        self.listener = socket.create_server((HOME, 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock:
                data = b""
                while len(data) < soup.LOGIN_SZ and (fresh := sock.recv(4096)):
                    data += fresh
                self.logins.append(data)
                sock.settimeout(60)
                try:
                    whole = self.packets()
                    for off in range(0, len(whole), 777):
                        sock.sendall(whole[off:off + 777])
                    while sock.recv(100):
                        pass
                except OSError:
                    pass                               # it has left

    def close(self):
        self.listener.close()


def snapshot_of(messages, number, name=b"326F010000"):
    """The packets of a snapshot taken before message `number`, as the day's own R, A."""
    front = [each for each in messages[:number - 1] if each[:1] in b"RHAF"]
    return b"".join([soup.accepted(name, 1), *(soup.packet("S", each) for each in front),
                     soup.packet("S", b"G%20d" % number)])


@pytest.fixture(scope="module")
def messages():
    found = [bytes(each) for each in day()]
    kept = [each for each in found if each[:1] in b"RHASF"]       # a day without executions
    return kept


def test_a_snapshot_is_the_book_and_the_number_to_go_on_with(messages):
    desk = Desk(lambda: snapshot_of(messages, len(messages) + 1))
    part = Partition(1, 0, HOME, 0, "", "", 0, "", 0, "", {}, {}, desk.port)
    found = fetch(part, "ACC0", "secret", timeout=60)
    desk.close()
    books = Books()
    for each in messages:
        books.apply(each)
    assert found.next_seq == len(messages) + 1 and found.session == "326F010000"
    assert found.books.digest() == books.digest() and len(books.orders) > 100
    assert desk.logins[0][2:3] == b"L" and b"ACC0" in desk.logins[0]
    books.apply(messages[-1].replace(messages[-1][11:19], bytes(8)))
    assert found.books.digest() != books.digest(), "another order is another book"


@pytest.mark.parametrize("packets,words", [
    (soup.rejected("A"), "reason A"), (soup.rejected("S"), "no snapshot to be had"),
    (soup.accepted(b"X" * 10, 1), "ended the connection"),
    (soup.packet("S", b"G%20d" % 5), "before it accepted"),
    (soup.accepted(b"X" * 10, 1) + soup.packet("S", b"D" * 3), "3 came"),
    (soup.accepted(b"X" * 10, 1) + soup.packet("Z"), "ended the session"),
    (b"\x00\x03?!!", "snapshots at .*soup")])
def test_what_is_no_snapshot_is_said_to_be_none(packets, words):
    listener = socket.create_server((HOME, 0))
    part = Partition(1, 0, HOME, 0, "", "", 0, "", 0, "", {}, {}, listener.getsockname()[1])

    def answer():
        sock, _ = listener.accept()
        with sock:
            sock.recv(100)
            sock.sendall(packets)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    with pytest.raises(SnapshotRefused, match=words):
        fetch(part, "ACC0", "secret", timeout=60)
    thread.join()
    listener.close()
    with pytest.raises(SnapshotRefused):
        fetch(part, "ACC0", "secret", timeout=60)


def test_a_host_that_says_nothing_is_given_up():
    listener = socket.create_server((HOME, 0))
    part = Partition(1, 0, HOME, 0, "", "", 0, "", 0, "", {}, {}, listener.getsockname()[1])
    joining = Joining(part, "ACC0", "secret", now=100.0)
    assert not joining.turn(104.0)
    with pytest.raises(SnapshotRefused, match="said nothing"):
        joining.turn(106.0)
    joining.close()
    listener.close()


def with_port(feed, port):
    """The feed's partition with a snapshot port."""
    fields = {**vars(feed.partition), "glimpse_port": port}
    feed.partition = Partition(**fields)


def test_a_hole_that_nobody_fills_is_passed_over_by_a_snapshot(messages):
    feed, spans, number = Feed(messages), [], len(messages) // 2
    desk = Desk(lambda: snapshot_of(messages, number))
    with_port(feed, desk.port)
    try:
        handler = feed.handler(login=("ACC0", "secret"),
                               on_snapshot=lambda *span: spans.append(span))
        feed.log.log[0]["oldest_seq"] = number - 20           # the log has forgotten the rest
        for payload in feed.packets()[number // 3 - 5:]:
            feed.send(payload)
        feed.settle(handler, patience_s=60.0)
        books = Books()
        for each in messages:
            books.apply(each)
        assert handler.books.digest() == books.digest() and handler.missing() == 0
        assert spans == [(1, number)] and handler.counts["snapshots"] == 1
        assert handler.counts["skipped"] == number - 1 and feed.server.tallies["too_old"] > 0
    finally:
        feed.close()
        desk.close()


def test_a_large_hole_is_not_asked_for_at_length(messages):
    feed, number = Feed(messages), len(messages) // 2
    desk = Desk(lambda: snapshot_of(messages, number))
    with_port(feed, desk.port)
    try:
        handler = feed.handler(login=("ACC0", "secret"), hole_max=50)
        feed.lost = lambda payload: True
        feed.send(feed.packet(number, 1))
        feed.settle(handler, lambda: handler.expected == number + 1)
        assert handler.counts["snapshots"] == 1 and handler.counts["requests"] == 0
        assert handler.joining is None and len(handler.all_sockets()) == 3
    finally:
        feed.close()
        desk.close()


def test_without_a_login_there_is_no_snapshot_and_a_filled_hole_needs_none(messages):
    feed = Feed(messages)
    desk = Desk(lambda: snapshot_of(messages, 5))
    with_port(feed, desk.port)
    try:
        handler, known = feed.handler(hole_max=0), feed.handler(login=("ACC0", "secret"))
        for payload in feed.packets()[10:]:
            feed.send(payload)
        feed.settle(handler)
        feed.settle(known)
        assert not desk.logins and known.counts["snapshots"] == 0
    finally:
        feed.close()
        desk.close()


def test_a_refused_snapshot_is_asked_for_again(messages):
    feed, number, answers = Feed(messages), len(messages) // 2, []

    def packets():
        answers.append(1)
        return soup.rejected("S") if len(answers) < 3 else snapshot_of(messages, number)

    desk = Desk(packets)
    with_port(feed, desk.port)
    try:
        handler = feed.handler(login=("ACC0", "secret"))
        feed.log.log[0]["oldest_seq"] = number - 20
        feed.send(feed.packet(number, 1))
        feed.settle(handler, lambda: handler.expected == number + 1, patience_s=60.0)
        assert handler.counts["snapshots_failed"] == 2 and handler.counts["snapshots"] == 1
    finally:
        feed.close()
        desk.close()


def test_a_snapshot_of_another_session_changes_nothing(messages):
    feed, number = Feed(messages), len(messages) // 2
    desk = Desk(lambda: snapshot_of(messages, number, b"OTHER00000"))
    with_port(feed, desk.port)
    try:
        handler = feed.handler(login=("ACC0", "secret"), hole_max=10)
        feed.lost = lambda payload: True
        feed.send(feed.packet(number, 1))
        feed.settle(handler, lambda: len(desk.logins) >= 2)
        assert handler.expected == 1 and handler.counts["snapshots"] == 0
    finally:
        feed.close()
        desk.close()

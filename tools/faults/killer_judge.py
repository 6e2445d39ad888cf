"""What the journal says, beside what everybody was ever told.

    said = replay(folder)                 every message by stream name and number, and the state
    faults = judge(said, load, ears)      sentences; none: nothing was lost, nothing happened twice

The journal alone is believed: it is replayed in this process, from its genesis. A message that
anybody has heard must be the one that the replay says under that name and number. So nothing that
was acknowledged is lost, no number has two contents, and no order was applied twice.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from appliance.journal.genesis import build_core
from appliance.journal.play import play
from appliance.journal.replay import apply
from appliance.journal.scan import read, scan
from appliance.journal.snapshot import canonical, feed_pieces
from appliance.layout.codec import decode
from appliance.layout.shared import CHUNK_SZ

BURSTS = (1, 7, 64, 4000)
FAULTS_MAX = 20                     # sentences of one kind
_NUMBER_BITS = 56


@dataclass
class Said:
    """A replay. `streams`: {name: [message 1, 2, ...]}, the feed's among them; `orders` of account
    idx: {UserRefNum: (side, price, open quantity)}; `book`: {order reference: (side, price,
    shares)} as a subscriber sees it; `marks`: what `play` came to at each burst size."""

    partition: int
    commands: int
    streams: dict
    feed: bytes
    accounts: list                  # (name, stream's name, next UserRefNum) by index
    orders: list
    book: dict
    found: object
    marks: dict = field(default_factory=dict)


def replay(directory, bursts=BURSTS) -> Said:
    """Replays a partition's day. Raises what appliance.journal raises."""
    found = scan(directory)
    core = build_core(found.genesis)
    feed, following = [], 1
    for records in read(directory):
        for first in range(0, len(records), BURSTS[-1]):
            apply(core, records[first:first + BURSTS[-1]])
            feed += messages_in(feed_pieces(core.feed, following)[3:])
            following = int(core.feed.log[0]["next_seq"])
    genesis, streams = found.genesis, {}
    streams[genesis["feed_session"].encode()] = feed
    for account, row in enumerate(genesis["accounts"]):
        streams[row["session"].encode()] = stream_of(core, account)
    accounts = [(row["name"], row["session"].encode(), int(session["last_user_ref"]) + 1)
                for row, session in zip(genesis["accounts"], core.accounts.sessions)]
    said = Said(genesis["partition"], found.last_seq, streams, genesis["feed_session"].encode(),
                accounts, *_books(core, genesis), found)
    for burst in bursts:
        mark = play(directory, burst)
        said.marks[burst] = {name: mark[name] for name in ("seq", "state_hash", "outputs")}
    return said


def messages_in(pieces) -> list:
    """Messages that lie behind each other with their lengths."""
    out = []
    for piece in pieces:
        raw, off = piece.tobytes(), 0
        while off < len(raw):
            size = raw[off] << 8 | raw[off + 1]
            out.append(raw[off + 2:off + 2 + size])
            off += 2 + size
    return out


def stream_of(core, account) -> list:
    """A core's answers to an account from number 1 on."""
    pieces, chunk = [], int(core.accounts.sessions[account]["first_chunk"])
    while chunk:
        head, base = core.streams.heads[chunk], chunk * CHUNK_SZ
        pieces.append(core.streams.data[base:base + int(head["data_off"])])
        chunk = int(head["next"])
    return messages_in(pieces)


def _books(core, genesis):
    """(open orders by account, what the feed shows of them)."""
    orders, book = [{} for _ in genesis["accounts"]], {}
    for row in canonical(core)["orders"]:
        side, tick = chr(row["side_letter"]), genesis["symbols"][int(row["symbol"])]["tick_size"]
        price, quantity = int(row["price_ticks"]) * tick, int(row["qty"])
        orders[int(row["account"])][int(row["user_ref_num"])] = side, price, quantity
        book[genesis["partition"] << _NUMBER_BITS | int(row["order_ref"])] = (
            int(side != "B"), price, quantity)
    return orders, book


def judge(said, load, ears, late=None) -> list:
    """Everything that is wrong, as sentences.

    load, ears: results of killer_load; late: a late joiner's feed.
    """
    faults = [f"the participants did not settle: {load['late']}"] if load["late"] else []
    for whose, memory in (("participants", load), ("subscribers", ears)):
        faults += _told_twice(said, whose, memory)
        faults += _as_replayed(said, whose, memory)
    for trader in load["traders"]:
        faults += [f"{trader['name']}: {text}" for text in _trader(said, trader)]
    for whose, feed in (("the subscriber", ears["feeds"][said.partition]), ("late joiner", late)):
        if feed is not None:
            faults += [f"{whose}: {text}" for text in _feed(said, feed)]
    marks = {tuple(sorted(mark.items())) for mark in said.marks.values()}
    if len(marks) > 1:
        faults.append(f"the replay depends on the burst size: {said.marks}")
    if not said.found.clean or said.found.cut_bytes:
        faults.append(f"the journal was not closed well: {said.found.cut_why or 'not clean'}")
    return [f"partition {said.partition}: {text}" for text in faults]


def _told_twice(said, whose, memory):
    return [f"{whose} heard number {number} of {name.decode()} twice: {one.hex()}, {other.hex()}"
            for name, number, one, other in memory["conflicts"][:FAULTS_MAX]
            if name in said.streams]


def _as_replayed(said, whose, memory):
    """Everything heard is in the replay, under its name and number."""
    faults = []
    for (name, number), message in memory["heard"].items():
        stream = said.streams.get(name)
        if stream is None:
            continue                              # another partition's; `strangers` finds the rest
        wanted = stream[number - 1] if number <= len(stream) else b""
        if message != wanted:
            faults.append(f"{whose} heard {message.hex()} as number {number} of {name.decode()}, "
                          f"the journal says {wanted.hex() or 'nothing'}")
            if len(faults) == FAULTS_MAX:
                break
    for name, following in memory["told"].items():
        if name in said.streams and following > len(said.streams[name]) + 1:
            faults.append(f"{whose} were told of number {following - 1} of {name.decode()}, the "
                          f"journal has {len(said.streams[name])}")
    return faults


def strangers(replays, *memories) -> list:
    """Stream names that were heard and that no replay knows."""
    known = {name for said in replays for name in said.streams}
    return sorted({f"somebody heard a stream {name!r}, which no journal has" for memory in memories
                   for name, _ in memory["heard"] if name not in known})


def _trader(said, trader):
    names = [row[0] for row in said.accounts]
    account = names.index(trader["name"])
    _, name, next_ref = said.accounts[account]
    stream, faults = said.streams[name], []
    answers = [decode("ouch", "out", message[1:]) for message in stream if message[1:2] in b"AUJ"]
    accepted = Counter(each.user_ref_num for each in answers if each.letter != "J")
    seen = {each.user_ref_num for each in answers}
    twice = sorted(number for number, times in accepted.items() if times > 1)
    if twice:
        faults.append(f"orders {twice[:5]} were accepted twice")
    if trader["session"].encode() != name:
        faults.append(f"it is in {trader['session']}, the journal's stream is {name.decode()}")
    if trader["expected"] != len(stream) + 1:
        faults.append(f"it has {trader['expected'] - 1} messages, the stream {len(stream)}")
    if trader["counts"]["answers"] != len(stream):
        faults.append(f"it was told {trader['counts']['answers']} answers, the stream has "
                      f"{len(stream)}")
    if trader["next_ref"] != next_ref:
        faults.append(f"its Account Query named {trader['next_ref']}, the journal {next_ref}")
    if trader["orders"] != said.orders[account]:
        faults.append("its open orders are not the journal's: " + _difference(
            trader["orders"], said.orders[account]))
    done = seen & set(trader["voids"])
    if done:
        faults.append(f"orders {sorted(done)[:5]} were told void, and the journal has them")
    late = seen & set(trader["pending"])
    if late:
        faults.append(f"orders {sorted(late)[:5]} are unanswered to it, and the journal has them")
    known = set(trader["answered"]) | set(trader["voids"]) | set(trader["pending"])
    forgotten = sorted(set(trader["sent"]) - known)
    if forgotten:
        faults.append(f"orders {forgotten[:5]} ({len(forgotten)}) were neither answered, nor is "
                      "their fate known to be unknown")
    if trader["counts"]["malformed"]:
        faults.append(f"{trader['counts']['malformed']} malformed datagrams came")
    return faults


def _feed(said, feed):
    stream, faults = said.streams[said.feed], []
    if feed["session"] != said.feed:
        faults.append(f"it follows {feed['session']!r}, the journal's feed is {said.feed!r}")
    if feed["expected"] != len(stream) + 1 or feed["missing"]:
        faults.append(f"it has {feed['expected'] - 1} messages and lacks {feed['missing']}, the "
                      f"feed has {len(stream)}")
    if feed["orders"] != said.book:
        faults.append("its book is not the journal's: " + _difference(feed["orders"], said.book))
    if feed["crossed"]:
        faults.append(f"its books were crossed {feed['crossed']} times")
    return faults


def _difference(mine, theirs):
    both = [(key, mine.get(key), theirs.get(key)) for key in sorted({*mine, *theirs})
            if mine.get(key) != theirs.get(key)]
    return f"{len(both)} of {len(theirs)}, such as {both[0]}"


def tally(said, load) -> dict:
    """Figures of a partition for the report."""
    lengths = np.array([len(stream) for stream in said.streams.values()])
    traders = load["traders"]
    return {"commands": said.commands, "messages": int(lengths.sum()),
            "orders_sent": sum(len(t["sent"]) for t in traders),
            "orders_void": sum(len(t["voids"]) for t in traders),
            "orders_unanswered": sum(len(t["pending"]) for t in traders),
            "logins": sum(t["counts"]["logins"] for t in traders),
            "resent": sum(t["counts"]["resent"] + t["counts"]["reused"] for t in traders)}

"""What everybody was shown, and what the journal says of it at the end.

While a seed runs: no number of a session is shown with two contents. At the end the journal alone
is replayed, a command at a time, and must account for all of it:

    everything shown under the names in use is in it, byte for byte
    at level disk nothing was shown before the disk had the command that brought it
    no message of a participant was applied twice, no number of an order accepted twice
    every trade has its two sides; entered = filled + cancelled + open, order by order
"""

import numpy as np

from appliance.hot import feedlog, streams
from appliance.journal.genesis import build_core
from appliance.journal.replay import apply
from appliance.journal.scan import read
from appliance.layout.codec import decode
from appliance.layout.record import COMMAND, DETAIL

from .frames import blocks_of

FEED, ROOM = -1, 1452
ORDER_KINDS = range(1, 12)


class Ledger:
    """world: for its disk's word on what is safe, and `fail`."""

    def __init__(self, world):
        self.world = world
        self.contents, self.first_shown, self.places = {}, {}, {}
        self.message_cnt = 0

    def began(self, part, day, lost_tail) -> None:
        """Streams go on, under these names."""
        self.places = {part.order_session(day, idx).encode(): idx
                       for idx in range(len(part.accounts))}
        self.places[part.feed_session(day).encode()] = FEED

    def shown(self, payload: bytes, now_ns: int) -> None:
        """A packet has left."""
        name, seq, blocks, _ = blocks_of(payload)
        place = self.places.get(name)
        if place is None or not seq:
            return
        contents = self.contents.setdefault(name, {})
        for number, block in enumerate(blocks, seq):
            known = contents.get(number)
            if known is None:
                contents[number] = block
                self.first_shown[name, number] = self.world.disk.safe_seq
                self.message_cnt += 1
            elif known != block:
                self.world.fail("two contents", f"{name.decode()} number {number}: "
                                f"{known.hex()}, then {block.hex()}")

    # -- the end ----------------------------------------------------------------------------------

    def replay(self, folder, genesis):
        """A core of the journal, and which command brought each number: rows of next numbers."""
        core, rows, records = build_core(genesis), [], []
        sessions, log = core.accounts.sessions, core.feed.log
        for part in read(folder):
            records.append(part.copy())
            for i in range(len(part)):
                apply(core, part[i:i + 1], 1)
                rows.append([int(log[0]["next_seq"]), *sessions["next_seq"].tolist()])
        return core, np.array(rows, np.int64), np.concatenate(records)

    def judge(self, core, rows, level) -> None:
        """What was shown against a replayed core, whose names are those in use."""
        fail = self.world.fail
        held = {name: whole(core, place) for name, place in self.places.items()}
        for name, numbers in self.contents.items():
            place = self.places.get(name)
            if place is None:
                continue
            for number, block in numbers.items():
                if held[name].get(number) != block:
                    fail("shown is lost", f"{name.decode()} number {number}: shown {block.hex()}, "
                         f"the journal has {held[name].get(number, b'nothing').hex()}")
                    break
        if level != "disk":
            return
        for (name, number), safe in self.first_shown.items():
            place = self.places.get(name)
            if place is None:
                continue
            command = int(np.searchsorted(rows[:, place + 1], number, side="right")) + 1
            if command > safe:
                fail("shown too early", f"{name.decode()} number {number} is of command "
                     f"{command}, the disk had {safe}")
                break

    def judge_orders(self, core) -> None:
        """The accounts' streams against the books."""
        fail, sides, orders = self.world.fail, {}, {}
        for account in range(len(core.accounts.sessions)):
            for block in whole(core, account).values():
                message = decode("ouch", "out", block[1:])
                self._follow(account, message, orders, sides)
        for match, found in sides.items():
            if len(found) != 2 or found[0] != found[1]:
                fail("trades", f"match {match} has the sides {found}")
        live = {(int(row["account"]), int(row["user_ref_num"])): live_qty(core, handle)
                for handle, row in live_rows(core)}
        left = {key: qty for key, qty in orders.items() if qty}
        if live != left:
            odd = sorted(set(live.items()) ^ set(left.items()))[:4]
            fail("conservation", f"open by the answers and in the books differ: {odd}")

    def _follow(self, account, message, orders, sides):
        letter, key = message.letter, (account, message.get("user_ref_num", 0))
        if letter in "AU":
            if key in orders:
                self.world.fail("applied twice", f"account {account} number {key[1]}")
            if letter == "U":
                orders[account, message.orig_user_ref_num] = 0
            orders[key] = message.quantity if message.order_state == "L" else 0
        elif letter == "E":
            orders[key] -= message.quantity
            sides.setdefault(message.match_number, []).append((message.quantity, message.price))
        elif letter == "C":
            orders[key] -= message.quantity
        elif letter == "D":
            orders[key] -= message.decrement_shares
        elif letter == "M":
            orders[key] = message.quantity

    def judge_upstream(self, records) -> None:
        """Each login's messages in the journal: every number at most once, in order."""
        newest = {}
        for record in records:
            command = record["command"].view(COMMAND.dtype)[0]
            if int(command["kind"]) not in ORDER_KINDS:
                continue
            detail = record["detail"].view(DETAIL.dtype)[0]
            key, seq = (int(command["account"]), int(detail["token_epoch"])), \
                int(detail["upstream_seq"])
            if seq <= newest.get(key, 0):
                self.world.fail("applied twice", f"account and login {key}, message {seq} behind "
                                f"{newest[key]}")
                return
            newest[key] = seq


def whole(core, place) -> dict:
    """Number -> block of a whole stream, or of the feed."""
    found, seq = {}, 1
    while True:
        if place == FEED:
            off, size, count = feedlog.gather(core.feed, seq, ROOM)
            data = core.feed.ring
        else:
            off, size, count = streams.gather(core.streams, core.accounts.sessions, place, seq,
                                              ROOM)
            data = core.streams.data
        if not count:
            return found
        piece, at = data[off:off + size].tobytes(), 0
        for number in range(seq, seq + count):
            length = piece[at] << 8 | piece[at + 1]
            found[number] = piece[at + 2:at + 2 + length]
            at += 2 + length
        seq += count


def live_rows(core):
    """(handle, ORDER_COLD row) of every live order."""
    cold = core.accounts.cold
    return [(handle, cold[handle]) for handle in np.flatnonzero(core.book.orders["qty"]).tolist()]


def live_qty(core, handle) -> int:
    """Open shares, those not shown included."""
    order = core.book.orders[handle]
    hidden = int(core.book.extras[handle]["reserve"]) if order["level"] & 0x40000000 else 0
    return int(order["qty"]) + hidden


def displayed(core) -> dict:
    """Order reference -> (side, price, shares) of what the feed shows, read off the books."""
    from appliance.journal.snapshot import canonical
    sections, symbols = canonical(core), core.book.symbols
    partition = int(core.book.engine[0]["partition"])
    shown = {}
    for row in sections["orders"]:
        owner = int(row["owner"])
        if owner < 2 * len(symbols):
            price = int(row["ticks"]) * int(symbols[owner // 2]["tick_size"])
            shown[partition << 56 | int(row["order_ref"])] = (owner % 2, price, int(row["qty"]))
    return shown

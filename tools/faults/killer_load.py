"""Who trades and listens while the killer works, and remembers every byte that it was ever told.

    load = Load(field, partition, seed, pace)    three participants of a partition, in a process
    ears = Ears(field)                           subscribers of every partition's feeds, in another
    load.settle(); ears.settle()                 their last answers; then `result` is a dict

A participant enters, replaces and cancels at random, sends a datagram of the past again now and
then, and an order under a number that was used. It keeps to what the client library does by itself:
gap requests, heartbeats, a new login where a session is silent or has ended (client/line.py).
"""

import contextlib
import multiprocessing
import os
import pickle
import random
import signal
import time

import numpy as np

from appliance.client.channel import ChannelError
from appliance.client.channel import load as load_channel
from appliance.client.feed import FeedHandler, messages_of
from appliance.client.line import Line
from appliance.layout.codec import encode
from appliance.layout.datagram import build_mold
from appliance.native import lib

from .killer_place import PRICE, TICK, symbol_of, wait

ANSWERED, UP, STOP, DONE = range(4)
OPEN_MAX, REACH = 60, 12             # open orders of a participant; ticks around the price
QUIET_S, SETTLE_S = 1.3, 60.0        # a host says at least every second how far it has come
END_OF_SESSION = 0xFFFF


class Memory:
    """(session name, number) -> message. `conflicts`: numbers that were told twice, differently;
    `told`: the highest number that each name was said to come to, plus one."""

    def __init__(self):
        self.heard, self.conflicts, self.told = {}, [], {}

    def take(self, payload: bytes) -> None:
        """Any datagram of a host."""
        if len(payload) < 20:
            return
        name, seq = payload[:10], int.from_bytes(payload[10:18], "big")
        count = int.from_bytes(payload[18:20], "big")
        if not seq:
            return
        if count in (0, END_OF_SESSION):
            self._tell(name, seq)
            return
        for number, message in enumerate(messages_of(payload, count) or (), seq):
            before = self.heard.setdefault((name, number), message)
            if before != message:
                self.conflicts.append((name, number, before, message))
        if len(payload) > 20:
            self._tell(name, seq + count)

    def _tell(self, name, following):
        self.told[name] = max(following, self.told.get(name, 1))


class Trader:
    """One account on one partition."""

    def __init__(self, find, part, person, ip, draw, memory):
        self.name, self.draw, self.memory = person[0], draw, memory
        self.line = Line(part, *person, find, bind_ip=ip, opened=lambda _: None, heartbeat_s=0.2)
        self.symbol, self.wrapped = symbol_of(part.number), None
        self.sent, self.answered, self.voids, self.packets = {}, set(), [], []
        self.counts = dict.fromkeys(("enter", "replace", "cancel", "resent", "reused", "logins",
                                     "answers"), 0)

    def turn(self) -> int:
        """What is due; how many answers came."""
        answers = 0
        for event in self.line.turn():
            answers += event.kind == "answer"
            if event.kind == "answer" and event.key:
                self.answered.add(event.key.user_ref_num)
            elif event.kind == "void":
                self.voids.append(event.key.user_ref_num)
        self.counts["answers"] += answers
        session = self.line.session
        if session is not None and session is not self.wrapped:
            self.wrapped, self.packets = session, []
            self.counts["logins"] += 1
            session._take = self._listen(session._take)
        return answers

    def _listen(self, take):
        def taken(payload):
            self.memory.take(payload)
            take(payload)
        return taken

    def act(self) -> None:
        """One random thing, when orders can be sent."""
        if not self.line.is_in:
            return
        draw, session = self.draw, self.line.session
        live = [n for n, order in session.orders.items() if order.open_qty > 0]
        roll = draw.random()
        if roll < 0.02 and self.packets:
            session._put(draw.choice(self.packets))              # the same datagram once more
            self.counts["resent"] += 1
        elif roll < 0.04 and self.answered:
            number = draw.choice(sorted(self.answered))           # a number that was used
            self._remember(lambda: session.send_raw(encode("ouch", "in", "O", self._order(
                9, draw) | {"user_ref_num": number})))
            self.counts["reused"] += 1
        elif live and (roll < 0.25 or len(live) > OPEN_MAX):
            number = draw.choice(live)
            left = session.orders[number].open_qty
            self._remember(lambda: session.cancel(number, draw.choice((0, 0, max(0, left - 1)))))
            self.counts["cancel"] += 1
        elif live and roll < 0.4:
            self._replace(draw.choice(live))
        else:
            self._enter()

    def _remember(self, send):
        session = self.line.session
        following = session.next_up
        send()
        self.packets = [*self.packets[-63:], build_mold(
            session.token, following, [session.sent_blocks[following]])]

    def _order(self, quantity, draw):
        side, away = draw.choice("BS"), draw.randint(-2, REACH)
        price = PRICE - TICK * away if side == "B" else PRICE + TICK * away
        return {"side": side, "quantity": quantity, "symbol": self.symbol, "price": price,
                "time_in_force": draw.choice("0003"), "display": "Y", "capacity": "P",
                "intermarket_sweep": "N", "cross_type": "N", "cl_ord_id": ""}

    def _enter(self):
        fields = self._order(self.draw.randint(1, 50), self.draw)
        line = self.line
        number = line.session.user_ref + 1
        self._remember(lambda: line.session.enter(
            fields["side"], fields["quantity"], self.symbol, fields["price"],
            time_in_force=fields["time_in_force"]))
        line.note(number, self.symbol, fields["side"], fields["price"], fields["quantity"])
        self.sent[number] = "O"
        self.counts["enter"] += 1

    def _replace(self, number):
        line, order = self.line, self.line.session.orders[number]
        fresh, quantity = line.session.user_ref + 1, order.executed_qty + self.draw.randint(1, 50)
        price = max(TICK, order.price + TICK * self.draw.randint(-2, 2))
        self._remember(lambda: line.session.replace(number, quantity, price))
        line.note(fresh, self.symbol, order.side, price, quantity)
        self.sent[fresh] = "U"
        self.counts["replace"] += 1

    def has_settled(self) -> bool:
        """Whether it is in and lacks nothing that it knows of."""
        return self.line.is_in and not self.line.session.stream.lacking

    def result(self) -> dict:
        """What it knows at the end."""
        session = self.line.session or self.wrapped
        return {"name": self.name, "session": session.session, "expected": session.expected,
                "next_ref": session.named, "sent": self.sent, "answered": self.answered,
                "voids": self.voids, "pending": sorted(self.line.pending),
                "orders": {n: (order.side, order.price, order.open_qty)
                           for n, order in session.orders.items() if order.open_qty},
                "counts": self.counts | {"malformed": session.counts["malformed"]}}


class _Process:
    """A forked process in the market with some shared words."""

    def __init__(self, field, name, body):
        context = multiprocessing.get_context("fork")
        self.words = context.RawArray("q", 8)
        self.path, self.what = field.scene.folder / f"{name}.pickle", name
        self.result = {}
        with field.scene.market():
            self.process = context.Process(target=self._run, args=(body,), daemon=True)
            self.process.start()

    def _run(self, body):
        lib.wm_die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        result = body(np.frombuffer(self.words, np.int64))
        with open(self.path, "wb") as file:
            pickle.dump(result, file)
        os._exit(0)

    @property
    def answered(self) -> int:
        """Messages heard so far."""
        return int(self.words[ANSWERED])

    @property
    def is_up(self) -> bool:
        """Whether everybody in it was in once."""
        return bool(self.words[UP])

    def stop(self) -> None:
        """Nothing more is begun."""
        self.words[STOP] = 1

    def settle(self) -> dict:
        """Lets it come to its end; its result. RuntimeError when it does not."""
        if not self.result:
            self.stop()
            self.process.join(2 * SETTLE_S)
            if self.process.exitcode != 0:
                raise RuntimeError(f"{self.what} did not end well: {self.process.exitcode}")
            with open(self.path, "rb") as file:
                self.result = pickle.load(file)
        return self.result

    def end(self) -> None:
        """Ends the process, whatever it does."""
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Load(_Process):
    """A partition's participants; `pace` things a second in all."""

    def __init__(self, field, partition, seed, pace):
        def find(number):
            return load_channel(field.house.channel).partitions[number]

        def body(words):
            memory, draw = Memory(), random.Random(f"{seed}/{partition}")
            traders = [Trader(find, find(partition), person, field.scene.market_ip,
                              random.Random(draw.random()), memory)
                       for person in field.people]
            _trade(traders, words, draw, pace)
            late = _settle(traders, words)
            return {"traders": [trader.result() for trader in traders], "late": late,
                    "heard": memory.heard, "conflicts": memory.conflicts, "told": memory.told}

        super().__init__(field, f"load-{partition}", body)


def _trade(traders, words, draw, pace):
    due = time.monotonic()
    while not words[STOP]:
        for trader in traders:
            words[ANSWERED] += trader.turn()
        words[UP] = words[UP] or all(trader.line.is_in for trader in traders)
        now = time.monotonic()
        if now < due:
            time.sleep(min(0.002, due - now))
            continue
        due = max(due + draw.expovariate(pace), now - 0.2)
        draw.choice(traders).act()


def _settle(traders, words) -> str:
    """Nothing more is sent; "" when everybody knows all, else who does not."""
    deadline = time.monotonic() + SETTLE_S
    quiet, asked = time.monotonic(), False
    while time.monotonic() < deadline:
        if sum(trader.turn() for trader in traders) or not all(
                trader.has_settled() for trader in traders):
            quiet = time.monotonic()
        if time.monotonic() - quiet > QUIET_S:
            if asked and all(trader.line.session.known for trader in traders):
                return ""
            for trader in traders:
                trader.line.session.query()
            quiet, asked = time.monotonic(), True
        time.sleep(0.002)
    return ", ".join(f"{t.name} is {t.line.state}" for t in traders)


class Ears(_Process):
    """Subscribers of both feeds of every partition, from number 1 on."""

    def __init__(self, field):
        parts = [field.partition(p) for p in range(field.partitions)]

        def body(words):
            memory = Memory()
            handlers = [FeedHandler(part, field.scene.market_ip,
                                    on_packet=lambda _, payload: memory.take(payload))
                        for part in parts]
            words[UP] = 1
            quiet, deadline = time.monotonic(), None
            while True:
                taken = sum(handler.poll(0.002) for handler in handlers)
                words[ANSWERED] = sum(h.books.message_cnt for h in handlers)
                now = time.monotonic()
                lacks = any(handler.missing() for handler in handlers)
                if not words[STOP] or lacks or taken and deadline is None:
                    quiet = now
                deadline = deadline or (now + SETTLE_S if words[STOP] else None)
                if deadline and (now - quiet > QUIET_S or now > deadline):
                    break
            return {"heard": memory.heard, "conflicts": memory.conflicts, "told": memory.told,
                    "feeds": [_feed_result(handler) for handler in handlers]}

        super().__init__(field, "ears", body)


def _feed_result(handler):
    return {"session": handler.session, "expected": handler.expected,
            "missing": handler.missing(), "crossed": handler.books.crossed_cnt,
            "counts": handler.counts,
            "orders": {ref: (side, price, shares) for ref, (_, side, price, shares)
                       in handler.books.orders.items()}}


def late_joiner(field, partition) -> dict:
    """A subscriber that comes now and asks for the whole day; its books when it has all."""
    with field.scene.market(), contextlib.closing(
            FeedHandler(field.partition(partition), field.scene.market_ip)) as handler:
        def has_all():
            with contextlib.suppress(ChannelError):
                handler.poll(0.05)
            return handler.session and handler.stream.newest > 1 and not handler.missing()
        wait(has_all, f"a late joiner of partition {partition} did not get all", SETTLE_S, 0.0)
        return _feed_result(handler)

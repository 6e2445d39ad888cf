"""Whole days with every order type, crosses, halts, imbalances, broken trades and passing time.

`everything` yields actions, tuples of a word, its arguments and the time in nanoseconds:

    ("start", opens_later, now_ns)              ("message", account index, OUCH bytes, now_ns)
    ("open", now_ns)    ("end", now_ns)         ("halt", symbol index, state, reason, now_ns)
    ("clock", now_ns)                           ("imbalance", cross letter, now_ns)
                                                ("bust", match number, reason letter, now_ns)

States, reasons and letters are bytes; a match number is without its partition. `apply` does one
action to an oracle's venue; whoever drives another venue does the same there.
"""

from tests.oracle.adversary import Adversary
from tests.oracle.generate import MARKET_PRICE, tag, u32

SECOND_NS = 1_000_000_000
SMP_LETTERS = (b"O", b"W", b"D", b"D", b"d", b"Y", b"y", b"N", b"*")
HALT_REASONS = (b"T1  ", b"LUDP", b"M   ", b"    ", b"H10 ")

# How often each action is taken, relative to the others, before the opening and after it.
ACTIONS = dict(order=40, auction=5, self_meeting=4, sweep_book=3, far_order=1, delete=8,
               partial_cancel=6, change=12, modify_any=7, mass_cancel=0.2, switch=0.3,
               bad_field=1.5, bad_tag=0.7, bad_shape=0.5, stale=0.5, lost_cancel=0.7, query=0.2,
               halt=0.7, imbalance=0.6, bust=0.6, wait=1.5)
PRE_OPEN_ACTIONS = dict(ACTIONS, order=3, auction=50, self_meeting=0.5, sweep_book=0, far_order=0,
                        imbalance=2, halt=1)
# Shares of the orders that have an option, each among those that may have it.
MIX = dict(aggressive=0.2, hidden=0.25, attributed=0.1, ioc=0.15, market=0.2, gtt=0.2,
           reserve=0.35, minimum=0.4, post_only=0.12, smp=0.4, group=0.1, tiny_floor=0.05,
           short_life=0.7)
# An auction order is a market order, is sent immediate, is for the wrong cross, has a far price.
AUCTION_MIX = dict(auction_market=0.25, auction_ioc=0.3, wrong_cross=0.08, far_auction=0.02)


def apply(venue, action):
    """Does one action to an oracle's `venue.Venue`."""
    word, *arguments = action
    if word == "start":
        opens_later, now_ns = arguments
        venue.start(now_ns, opens_later)
    else:
        {"message": venue.message, "halt": venue.halt, "imbalance": venue.imbalance,
         "bust": venue.bust, "clock": venue.clock, "open": venue.open_market,
         "end": venue.end, "limit": venue.limit, "kill": venue.kill,
         "mode": venue.mode}[word](*arguments)


class Everything(Adversary):
    """Makes actions; `now_ns` only grows. last_match: asks for the newest match number."""

    def __init__(self, seed, symbols, accounts, mix=None, last_match=None, step_ns=1_000_000,
                 **options):
        super().__init__(seed, symbols, accounts, **options)
        self.mix = MIX | AUCTION_MIX | (mix or {})
        self.states = [each.get("state", "T").encode() for each in symbols]
        self.last_match = last_match or (lambda: self.sent_cnt // 4)
        self.is_open, self.now_ns, self.step_ns = False, SECOND_NS, step_ns

    def has(self, option):
        return self.chance(self.mix[option])

    # -- orders --------------------------------------------------------------------------------

    def terms(self, symbol, buy, quantity):
        """Price, time in force, display, tags and "may it rest?" of an order of any kind."""
        immediate, hidden = self.has("ioc"), self.has("hidden")
        display = b"N" if hidden else b"A" if self.has("attributed") else b"Y"
        post_only = not immediate and self.has("post_only")
        price = self.price(symbol, buy, self.has("aggressive") or immediate)
        chosen, tif = [], b"3" if immediate else b"0"
        if immediate and self.has("market"):
            price = MARKET_PRICE
        if not immediate and self.has("gtt"):
            tif = b"6"
            chosen.append(tag(15, u32(self.life())))
        if not immediate and not hidden and self.has("reserve"):
            chosen.append(tag(5, u32(self.floor(quantity))))
        if (immediate or hidden) and self.has("minimum"):
            least = quantity if self.chance(0.2) else 1 + self.below(quantity)
            chosen.append(tag(3, u32(least)))
        if post_only:
            chosen.append(tag(12, b"P"))
        if self.has("smp"):
            chosen.append(tag(29, self.pick(SMP_LETTERS)))
        if self.has("group"):
            chosen.append(tag(24, self.pick((b"\0\1", b"\0\2"))))
        self.rng.shuffle(chosen)
        return price, tif, display, b"".join(chosen), not immediate

    def floor(self, quantity):
        """Mostly a third to a tenth of the order, at times one share or more than the order."""
        if self.has("tiny_floor"):
            return self.pick((1, 2, quantity, quantity + 1 + self.below(100), 0))
        return max(1, quantity // (3 + self.below(8)))

    def life(self):
        """Seconds."""
        return 1 + self.below(5) if self.has("short_life") else 1 + self.below(86_399)

    def order(self):
        account, symbol = self.someone()
        side, quantity = self.pick((b"B", b"B", b"S", b"T")), 1 + self.below(900)
        price, tif, display, extra, rests = self.terms(symbol, side == b"B", quantity)
        return account, self.enter(account, symbol, side, quantity, price, tif, display, extra,
                                   rests)

    def auction(self):
        """An order for a cross that is to come, now and then for one that is not."""
        account, symbol = self.someone()
        side, quantity = self.pick((b"B", b"S", b"S", b"B", b"E")), 1 + self.below(900)
        cross = (b"H" if self.states[symbol] == b"Q" else b"C" if self.is_open
                 else self.pick((b"O", b"O", b"C")))
        if self.has("wrong_cross"):
            cross = self.pick((b"O", b"C", b"H", b"S"))
        tif = b"3" if self.has("auction_ioc") else b"0"
        width = 4_000 if self.has("far_auction") else 20
        price = (self.middles[symbol] + self.below(2 * width + 1) - width) * self.ticks[symbol]
        if self.has("auction_market"):
            price = MARKET_PRICE
        extra = tag(29, self.pick(SMP_LETTERS)) if self.has("smp") else b""
        return account, self.enter(account, symbol, side, quantity, price, tif,
                                   self.pick((b"Y", b"N", b"A")), extra, cross=cross)

    def self_meeting(self):
        """Meets one of the account's own resting orders, often with others around it."""
        live = self.some_live()
        if live is None or live.price == MARKET_PRICE:
            return self.order()
        side = b"S" if live.side == b"B" else b"B"
        quantity = 1 + self.below(1_200)
        chosen = tag(29, self.pick(SMP_LETTERS)) if self.chance(0.8) else b""
        tif, rests = (b"3", False) if self.chance(0.4) else (b"0", True)
        if not rests and self.has("minimum"):
            chosen += tag(3, u32(1 + self.below(quantity)))
        return live.account, self.enter(live.account, live.symbol, side, quantity, live.price,
                                        tif, extra=chosen, resting=rests)

    def change(self):
        """A Replace from any kind of order to any other; some are impossible for its cross."""
        live = self.some_live()
        if live is None:
            return self.order()
        quantity = live.total if self.chance(0.2) else 1 + self.below(900)
        price, tif, display, extra, _ = self.terms(live.symbol, live.side == b"B", quantity)
        if self.chance(0.3) and live.price != MARKET_PRICE:
            price = live.price
        return live.account, self.replace_message(live, quantity, price, tif, display, b"N", extra)

    # -- the operator --------------------------------------------------------------------------

    def halt(self):
        """Halts, pauses or starts quotation; sometimes of a symbol that is halted already."""
        symbol = self.below(len(self.names))
        return self.new_state(symbol, self.pick((b"H", b"P", b"Q", b"Q", b"T")))

    def resume(self):
        """The next step of a symbol that does not trade: mostly quotation, then trading."""
        symbol = self.pick([idx for idx, state in enumerate(self.states) if state != b"T"])
        quoted = self.states[symbol] == b"Q"
        return self.new_state(symbol, self.pick((b"T", b"T", b"T", b"H") if quoted
                                                else (b"Q", b"Q", b"T")))

    def new_state(self, symbol, state):
        self.states[symbol] = state
        return "halt", symbol, state, self.pick(HALT_REASONS), self.now_ns

    def imbalance(self):
        likely = b"C" if self.is_open else b"O"
        return "imbalance", self.pick((likely, likely, b"H", b"O", b"C", b"?")), self.now_ns

    def bust(self):
        """Mostly one of the newest trades, else an old, broken or impossible one."""
        newest = self.last_match()
        match = self.pick((newest - self.below(30), newest - self.below(30), self.below(newest + 3),
                           newest + 1, 0, newest - 65_536))
        return "bust", max(0, match), self.pick((b"E", b"C", b"S", b"X", b"?")), self.now_ns

    def wait(self):
        """Time passes: a little, or enough for short-lived orders to leave."""
        self.now_ns += self.below(SECOND_NS if self.chance(0.7) else 4 * SECOND_NS)
        return "clock", self.now_ns

    # -- actions -------------------------------------------------------------------------------

    def actions(self, count, weights):
        """`count` actions; several in a row have the same time."""
        makers = [getattr(self, name) for name in weights]
        for maker in self.rng.choices(makers, list(weights.values()), k=count):
            if self.chance(0.2):
                self.now_ns += 1 + self.below(2 * self.step_ns)
            if self.disabled and self.chance(0.05):
                maker = self.enable
            elif self.chance(0.05) and any(state != b"T" for state in self.states):
                maker = self.resume
            made = maker()
            yield made if isinstance(made[0], str) else ("message", *made, self.now_ns)


def everything(seed, symbols, accounts, count, actions=None, pre_open_share=0.08, **options):
    """One day: `count` actions besides start, opening and end.

    actions: names of `ACTIONS` with other weights; pre_open_share: how much of the day is before
    the opening. Further options: mix (names of `MIX`, `AUCTION_MIX`), last_match (a function),
    step_ns, and those of `generate.Maker`.
    """
    maker = Everything(seed, symbols, accounts, **options)
    actions = actions or {}
    early = int(count * pre_open_share)
    yield "start", early > 0, maker.now_ns
    yield from maker.actions(early, PRE_OPEN_ACTIONS | actions)
    if early:
        maker.now_ns += maker.step_ns
        yield "open", maker.now_ns
    maker.is_open = True
    yield from maker.actions(count - early, ACTIONS | actions)
    maker.now_ns += maker.step_ns
    yield "end", maker.now_ns

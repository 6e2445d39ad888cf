"""One order: its terms, what is left of it, and how much of that the feed shows.

Prices are in units of 0.0001, quantities in shares.
"""

OFF, OLDEST, NEWEST, DECREMENT = "off", "oldest", "newest", "decrement"
MARKET_PRICE = 0x7FFFFFFF
CONTINUOUS, OPENING, CLOSING, HALT = b"N", b"O", b"C", b"H"


class Order:
    """An order and everything that reports say about it.

    open: shares that can still trade. shown: those of them that the feed shows now; the others
    are the reserve, or everything when the order is hidden or waits for a cross.
    total: intended size, executed (and self-match decremented) shares included.
    number: n of its present order reference. first_number: the one it came in with.
    tags: the optional tags sent, tag -> value bytes. max_floor: 0 without a floor.
    expires_ns: when a good-till-time order leaves. strategy: letter that tells of a decrement.
    """

    __slots__ = ("account", "user_ref_num", "symbol", "buy", "side", "price", "open", "shown",
                 "total", "tif", "display", "capacity", "sweep", "cross", "clordid", "tags",
                 "min_qty", "max_floor", "expires_ns", "post_only", "smp", "strategy", "number",
                 "first_number")

    def is_immediate(self):
        return self.tif == b"3" and not self.is_auction()

    def is_auction(self):
        return self.cross != CONTINUOUS

    def is_on_feed(self):
        """Is it an order that the feed shows, when it is booked?"""
        return not self.is_auction() and self.display != b"N"

    def is_market(self):
        return self.price == MARKET_PRICE

    def executed(self):
        return self.total - self.open

    def to_show(self):
        """How much of the open shares is shown when the order takes a new place."""
        if not self.is_on_feed():
            return 0
        return min(self.max_floor, self.open) if self.max_floor else self.open

    def in_front(self):
        """Shares that the next incoming order meets: the shown part, or all when nothing shows."""
        return self.shown if self.is_on_feed() else self.open

    def least(self):
        """The resting minimum: an incoming order with less than this left passes by."""
        return min(self.min_qty, self.open)

    def lose_front(self, quantity):
        """Shares taken off by a trade or a decrement: from what is in front."""
        self.open -= quantity
        if self.is_on_feed():
            self.shown -= quantity

    def lose_back(self, quantity):
        """Shares taken off by their owner: the reserve first. How many shown ones went too."""
        self.open -= quantity
        cut = max(0, self.shown - self.open)
        self.shown -= cut
        return cut

    def allows(self, price):
        """Is this price as good as the limit, or better?"""
        if self.is_market():
            return True
        return price <= self.price if self.buy else price >= self.price

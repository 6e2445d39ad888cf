"""Real feeds and account streams for the tests: the oracle's venue fed with a seeded order flow."""

from functools import cache

from tests.oracle.generate import realistic
from tests.oracle.venue import Venue

SYMBOLS = tuple({"name": name, "tick_size": 100} for name in ("AAPL", "MSFT", "EXAMPLE"))
ACCOUNTS = tuple({"name": f"ACC{n}", "firm": f"FRM{n}", "smp": smp}
                 for n, smp in enumerate(("off", "oldest", "newest")))


@cache
def day(seed=1, count=4000, flow=realistic):
    """A venue after `count` messages of the flow; not to be changed, it is shared."""
    venue = Venue(1, SYMBOLS, ACCOUNTS, day=326)
    venue.start()
    for account, message in flow(seed, SYMBOLS, ACCOUNTS, count):
        venue.message(account, message)
    return venue

"""A whole participant: quotes around a reference price, follows the feed, leaves with a clean book.

    python -m appliance.client.example channel.json ACCOUNT PASSWORD SYMBOL PRICE [LOCAL-IP]

It enters a buy and a sell order, reduces the one, replaces the other, looks at the top of the book
as the feed shows it, takes its quotes away again, and prints every answer. PRICE x 10,000.
"""

import sys
import time
from collections import Counter

from .book import FeedError
from .channel import ChannelError, load
from .feed import FeedHandler
from .orders import LoginError, OrderSession


def quote(session, symbol, price, tick) -> list:
    """Quotes around `price`: 100 shares bought 5 ticks below, 150 sold 4 above. The answers."""
    buy = session.enter("B", 300, symbol, price - 5 * tick)
    sell = session.enter("S", 200, symbol, price + 5 * tick)
    answers = session.wait(sell)
    session.cancel(buy, 100)
    answers += session.wait(buy)
    return answers + session.wait(session.replace(sell, 150, price + 4 * tick))


def leave(session) -> list:
    """Takes away every order that is open. The answers."""
    answers = []
    for order in list(session.orders.values()):
        if order.open_qty:
            session.cancel(order.user_ref_num)
            answers += session.wait(order.user_ref_num)
    return answers


def top_of_book(feed, symbol, until, timeout=2.0) -> tuple:
    """Best (buy, sell) price once `until(buy, sell)` holds, or after `timeout` s."""
    deadline, found = time.monotonic() + timeout, (0, 0)
    while time.monotonic() < deadline and not until(*found):
        feed.poll(0.05)
        book = feed.books.by_name.get(symbol)
        found = (book.best(0), book.best(1)) if book else (0, 0)
    return found


def trade(session, feed, symbol, price, tick, say=print) -> dict:
    """One round on the market; how often each answer came, by its letter."""
    counts = Counter()

    def tell(answers):
        for answer in answers:
            counts[answer.letter] += 1
            say(f"{answer.letter}  {dict(answer)}")

    tell(session.poll())                        # what the login asked for: the day so far
    tell(quote(session, symbol, price, tick))
    say("top of the book: {} {}".format(*top_of_book(
        feed, symbol, lambda buy, sell: buy >= price - 5 * tick and 0 < sell <= price + 4 * tick)))
    tell(leave(session))
    return dict(counts)


def main(arguments) -> int:
    """Exit codes: 0 done, 1 with a sentence when something failed, 2 wrong arguments."""
    if len(arguments) not in (5, 6) or not arguments[4].isdigit():
        print(__doc__, file=sys.stderr)
        return 2
    path, account, password, symbol, price = arguments[:5]
    local_ip = arguments[5] if len(arguments) == 6 else ""
    try:
        partition = load(path).partition_of(symbol)
        with (OrderSession(partition, account, password, bind=(local_ip, 0)) as session,
              FeedHandler(partition, session.local_ip) as feed):
            session.login()
            session.resume()
            trade(session, feed, symbol, int(price), partition.symbols[symbol][1])
            session.logout()
    except (ChannelError, LoginError, TimeoutError, FeedError, OSError) as error:
        print(f"example: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

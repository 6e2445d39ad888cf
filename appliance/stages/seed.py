"""The image of a core that came back: where the feed's log has forgotten the day's beginning.

    seed(image, core, genesis, first)      `first`: the journal's first record, DAY_START

    remake(snapshots, folder)          by recovery: an image that a kill has torn, from a journal

The image (hot/image.py) is usually made from the log alone, by recovery. A matcher that came back
with a log that begins later fills it once from its own books, before recovery looks at it, and
recovery goes on from there. A recovery that was killed inside the image, when the log had forgotten
the beginning, makes a core of its own from what the journal has on the disk, and fills it from
that: the journal is never behind the log's oldest message for long. What symbols are is taken from
the feed of a core that has seen nothing but the first record, so it has the very bytes. Three
things are not as the feed told them: the time of all orders is that of the last command; the
numbers that displayed them are the first ones there are, in the order of the books, which is the
priority at each price; and an order that stands in the place of another is attributed as itself,
not as that one, which the books do not know.
"""

import numpy as np

from appliance.hot import image as hot_image
from appliance.hot.restore import list_orders
from appliance.journal import watermark
from appliance.journal.follow import genesis_of
from appliance.journal.genesis import build_core
from appliance.journal.recover import resume
from appliance.journal.replay import apply
from appliance.journal.scan import read
from appliance.layout import codes
from appliance.layout.record import MARKET, TAG_FIRM
from appliance.layout.shared import IMAGE_SYMBOL
from appliance.layout.wire_itch import ITCH

_NUMBER_BITS = 56
_ACTION_OFF = IMAGE_SYMBOL["action"].off
_STATE, _REASON, _TIME = (_ACTION_OFF + ITCH["H"][name].off for name in (
    "trading_state", "reason", "timestamp"))


def seed(image, core, genesis: dict, first) -> None:
    """Fills an image that nobody follows yet."""
    head, log = image.head[0], core.feed.log[0]
    head["busy"], head["first_locate"] = 1, genesis["partition"] * 1000 + 1
    image.orders["shares"] = 0              # whatever was there before
    _symbols(image, core, genesis, first)
    head["live_cnt"] = count = _orders(image, core)
    head["free"], head["fresh"], head["fault"] = 0, count + 1, 0
    head["next_seq"], head["busy"] = log["next_seq"], 0


def remake(snapshots, folder) -> int:
    """Fills an image of which there are no snapshots from a journal that somebody else writes.

    The command behind which it stands, 0 while the journal has none. Raises JournalError.
    """
    mark = watermark.load(folder)
    if mark is None or not mark.durable_seq:
        return 0
    image, core = snapshots.image, resume(folder, mark.durable_seq).core
    seed(image, core, genesis_of(folder), next(read(folder, durable=True))[:1])
    return mark.durable_seq


def _symbols(image, core, genesis, first):
    """R and H of each symbol: the day's first, and its present state where that is another."""
    begun = build_core(genesis)
    apply(begun, first)
    feed, size = begun.feed, IMAGE_SYMBOL.size
    seen = hot_image.build_image(_sizes(genesis), feed.log, feed.ring, feed.index)
    seen.head[0]["next_seq"] = 1
    seen.head[0]["first_locate"] = genesis["partition"] * 1000 + 1
    hot_image.follow(seen, int(feed.log[0]["next_seq"]), 1 << 30)
    image.symbols[:] = seen.symbols
    time_ns = int(core.book.engine[0]["time_ns"])
    for row, symbol in zip(image.symbols.reshape(-1, size), core.book.symbols):
        reason = symbol["reason"] if symbol["reason"].any() else np.full(4, ord(" "), np.uint8)
        if row[_ACTION_OFF] and (row[_STATE] != symbol["state"]
                                 or (row[_REASON:_REASON + 4] != reason).any()):
            row[_STATE], row[_REASON:_REASON + 4] = symbol["state"], reason
            row[_TIME:_TIME + 6] = np.frombuffer(time_ns.to_bytes(6, "big"), np.uint8)


def _sizes(genesis):
    from appliance.hot.state import Sizes
    return Sizes(**genesis["sizes"])


def _orders(image, core):
    """The displayed orders at places 1, 2, 3 ...; how many."""
    most = int(core.book.engine[0]["live_orders"])
    handles, owners, ticks = (np.zeros(most, np.int64) for _ in range(3))
    found = int(list_orders(core, handles, owners, ticks))
    shown = owners[:found] < 2 * len(core.book.symbols)
    handles, owners = handles[:found][shown], owners[:found][shown]
    count = len(handles)
    cold, rows = core.accounts.cold[handles], image.orders[1:1 + count]
    symbols, sessions = core.book.symbols, core.accounts.sessions
    partition = int(core.book.engine[0]["partition"])
    rows["ref"] = cold["order_ref"] | np.uint64(partition << _NUMBER_BITS)
    rows["seq"], rows["time_ns"] = np.arange(1, count + 1), core.book.engine[0]["time_ns"]
    prices = cold["price_ticks"].astype(np.int64) * symbols["tick_size"][cold["symbol"]]
    rows["price"] = np.where(cold["flags"] & MARKET, codes.PRICE_MARKET, prices)
    rows["shares"], rows["symbol"] = core.book.orders["qty"][handles], owners >> 1
    rows["side"] = np.where(owners & 1, codes.BOOK_SELL, codes.BOOK_BUY)
    rows["attributed"] = attributed = cold["display"] == codes.DISPLAY_ATTRIBUTABLE
    own = (cold["present"] & TAG_FIRM != 0) & (cold["firm"] != ord(" ")).any(axis=1)
    firms = np.where(own[:, None], cold["firm"], sessions["default_firm"][cold["account"]])
    rows["firm"] = np.where(attributed, np.ascontiguousarray(firms).view("<u4").reshape(-1), 0)
    _chain(image, rows["ref"])
    return count


def _chain(image, refs):
    """Links the orders of each chain, whichever comes first."""
    chains = (refs & np.uint64(len(image.chains) - 1)).astype(np.int64)
    order = np.argsort(chains, kind="stable")
    places, chains = order + 1, chains[order]
    begins = np.append(True, chains[1:] != chains[:-1]) if len(chains) else np.zeros(0, bool)
    image.chains[:] = 0
    image.chains[chains[begins]] = places[begins]
    following = np.append(places[1:], 0) if len(places) else places
    last = np.append(begins[1:], True) if len(begins) else begins
    image.orders["next"][places] = np.where(last, 0, following)

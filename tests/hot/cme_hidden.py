"""What the venue knew of an order and its public file does not tell: icebergs and owners.

`Venue` reads the whole file ahead for it. Nothing of it names a trade's resting orders, their
sequence or their quantities in that trade:

* Icebergs: orders that show shares again after a fill, or are filled for more than they showed.
  Floor: the most that one ever showed. Reserve: what is filled after this, beyond what it shows.
* Owners: an order that leaves in the event of a trade, on the other side, without a fill, is taken
  for the aggressor's own, cancelled by self-match prevention. It then stands under one account with
  the event's aggressors, who come with SMP_OLDEST. Of 132 such orders the book meets and cancels
  123 in trades that it reproduces and 2 in others; 7 stand behind the last fill.

`Learned` looks ahead only for owners. An order is an iceberg from its first refill on; its floor is
the most it showed until then; it never runs out.
"""

from collections import Counter

from tests.hot.cme_flow import Plain

ENDLESS = 500_000


def events_of(rows):
    """(first row number, rows) of each event."""
    first = 0
    for at, row in enumerate(rows):
        if row.last:
            yield first, rows[first:at + 1]
            first = at + 1


class _Hidden(Plain):
    def __init__(self, rows):
        self.accounts, self.first_refill, self.shown, self.fills = {}, {}, {}, {}
        shown = {}
        for number, (first, event) in enumerate(events_of(rows), 1):
            filled = Counter()
            for at, row in enumerate(event, first):
                if row.action == "F":
                    filled[row.order] += row.size
                    self.fills.setdefault(row.order, []).append((at, row.size))
                elif row.action in "AM":
                    self.shown.setdefault(row.order, []).append((at, row.size))
            for row in event:
                left = shown.get(row.order, 0) - filled[row.order]
                if row.action in "MC" and filled[row.order] and row.order in shown:
                    if left < 0 or (row.action == "M" and row.size > left):
                        self.first_refill.setdefault(row.order, first + len(event))
                if row.action in "AM":
                    shown[row.order] = row.size
                elif row.action == "C":
                    shown.pop(row.order, None)
            self._owners(event, filled, number)

    def _owners(self, event, filled, number):
        aggressors = {row.side: row.order for row in event if row.action == "T"}
        if len(aggressors) != 1 or "N" in aggressors:
            return
        side = next(iter(aggressors))
        gone = {row.order for row in event
                if row.action == "C" and row.side != side and not filled[row.order]}
        if gone:
            for order in gone | {row.order for row in event if row.action == "T"}:
                self.accounts[order] = number

    def account(self, order):
        return self.accounts.get(order, 0)


class Venue(_Hidden):
    """Icebergs are known from the start."""

    def floor(self, order, at):
        if order not in self.first_refill:
            return 0
        return max(size for _, size in self.shown[order])

    def reserve(self, order, at, shown):
        return max(sum(size for when, size in self.fills[order] if when >= at) - shown, 0)


class Learned(_Hidden):
    """Icebergs are known from what was seen of them."""

    def floor(self, order, at):
        if self.first_refill.get(order, at) >= at:
            return 0
        return max(size for when, size in self.shown[order] if when <= at)

    def reserve(self, order, at, shown):
        return ENDLESS

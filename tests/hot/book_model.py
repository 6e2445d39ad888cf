"""The book once more with plain dicts and lists: slow, obvious, and without any array of its own.

Knows nothing of ladder or far arrays but the one rule that users can see: an order that may rest at
a far price is refused when no far level is to be had.
"""

from appliance.layout import record as r
from tests.hot.book_kit import IMMEDIATE, WINDOW, WINDOW_END


class Model:
    """`send(command)` gives the events of one command, as tuples in the order of book_kit."""

    def __init__(self, far_cap, far_levels):
        self.far_cap, self.far_pool = far_cap, far_levels - 1
        self.queues = {}        # (owner, price) -> handles, oldest first
        self.live = {}          # handle -> [account, owner, price, open, total]
        self.next_ref = self.next_match = 1

    def send(self, command):
        self.out = []
        kind, target = int(command["kind"]), int(command["target"])
        if kind == r.ENTER:
            self.enter(command)
        elif target in self.live:
            {r.CANCEL: self.cancel, r.REPLACE: self.replace, r.MODIFY: self.modify}[kind](
                command, target)
        return self.out

    def event(self, kind, side, order, reason=0, flags=0, resting=0, qty=0, price=0, left=0,
              number=0):
        self.out.append((kind, side, reason, flags, order, resting, qty, price, left, number))

    def enter(self, command):
        order, side, qty = (int(command[name]) for name in ("order", "side", "qty"))
        owner, price = int(command["symbol"]) * 2 + side, int(command["price_ticks"])
        if self.may_rest(command) and self.far_refuses(owner, price, None):
            self.event(r.REFUSED, side, order, qty=qty, price=price)
            return
        self.event(r.ACCEPTED, side, order, qty=qty, number=self.take_ref())
        self.settle(command, order, owner, price, qty, qty)

    def cancel(self, command, target):
        account, owner, price, open_qty, total = self.live[target]
        wanted, reason = int(command["qty"]), int(command["tif"]) or ord("U")
        if wanted >= total:
            return
        left = max(0, wanted - (total - open_qty))
        self.live[target][3:] = left, wanted
        if left == 0:
            self.leave(target)
        flags = r.WAS_BOOKED | r.ORDER_DEAD * (left == 0)
        self.event(r.CANCELED, owner & 1, target, reason, flags, qty=open_qty - left, left=left)

    def cancel_whole(self, target):
        _, owner, _, open_qty, _ = self.live[target]
        self.leave(target)
        self.event(r.CANCELED, owner & 1, target, ord("U"), r.WAS_BOOKED | r.ORDER_DEAD,
                   qty=open_qty)

    def replace(self, command, target):
        account, owner, _, open_qty, total = self.live[target]
        order, price = int(command["order"]), int(command["price_ticks"])
        qty = int(command["qty"]) - (total - open_qty)
        if qty <= 0:
            self.cancel_whole(target)
            return
        if self.may_rest(command) and self.far_refuses(owner, price, target):
            self.event(r.REFUSED, owner & 1, order, resting=target, qty=qty, price=price)
            return
        self.leave(target)
        self.event(r.REPLACED, owner & 1, order, flags=r.RESTING_DEAD, resting=target, qty=qty,
                   number=self.take_ref())
        if self.may_rest(command) and self.opposite(owner, price) is None:
            self.book(order, int(command["account"]), owner, price, qty, int(command["qty"]))
            self.event(r.MOVED, owner & 1, order, resting=target, qty=qty, price=price)
            return
        self.event(r.UNBOOKED, owner & 1, order, resting=target, qty=open_qty)
        self.settle(command, order, owner, price, qty, int(command["qty"]))

    def modify(self, command, target):
        _, owner, price, open_qty, total = self.live[target]
        wanted = int(command["qty"])
        left = wanted - (total - open_qty)
        if wanted > 999_999:
            return
        if left <= 0:
            self.cancel_whole(target)
            return
        self.live[target][3:] = left, wanted
        self.event(r.MODIFIED, owner & 1, target, qty=left, left=max(0, open_qty - left))
        if wanted > total:
            self.queues[owner, price].remove(target)
            self.queues[owner, price].append(target)
            self.event(r.MOVED, owner & 1, target, resting=target, qty=left, price=price,
                       number=self.take_ref())

    # -- matching -----------------------------------------------------------------------------

    def settle(self, command, order, owner, price, qty, total):
        """Post-only, minimum quantity, trades and preventions, then the rest."""
        account, smp, least = (int(command[name]) for name in ("account", "smp", "min_qty"))
        side = owner & 1
        if int(command["flags"]) & r.POST_ONLY and self.opposite(owner, price) is not None:
            self.event(r.CANCELED, side, order, ord("G"), r.ORDER_DEAD, qty=qty)
            return
        if least and min(qty, self.tradable(owner, price, account, smp)) < least:
            self.event(r.CANCELED, side, order, ord("I"), r.ORDER_DEAD, qty=qty)
            return
        while qty:
            resting = self.opposite(owner, price)
            if resting is None:
                break
            theirs = self.live[resting]
            if smp == r.SMP_NEWEST and theirs[0] == account:
                self.event(r.PREVENTED, side, order, r.SMP_NEWEST, r.ORDER_DEAD, resting, qty,
                           theirs[2], min(qty, theirs[3]))
                return
            if smp == r.SMP_OLDEST and theirs[0] == account:
                self.leave(resting)
                self.event(r.PREVENTED, side ^ 1, resting, r.SMP_OLDEST,
                           r.ORDER_DEAD | r.WAS_BOOKED, order, theirs[3], theirs[2],
                           min(qty, theirs[3]))
                continue
            traded = min(qty, theirs[3])
            qty -= traded
            theirs[3] -= traded
            if not theirs[3]:
                self.leave(resting)
            flags = r.ORDER_DEAD * (qty == 0) | r.RESTING_DEAD * (theirs[3] == 0)
            self.event(r.TRADE, side, order, 0, flags, resting, traded, theirs[2], theirs[3],
                       self.next_match)
            self.next_match += 1
        if qty and not self.may_rest(command):
            self.event(r.CANCELED, side, order, ord("I"), r.ORDER_DEAD, qty=qty)
        elif qty:
            self.book(order, account, owner, price, qty, total)
            self.event(r.BOOKED, side, order, qty=qty, price=price)

    def crossing(self, owner, price):
        """Handles that an order of this side and limit could meet, in matching order."""
        prices = [p for o, p in self.queues if o == owner ^ 1
                  and (p >= price if owner & 1 else p <= price)]
        return [h for p in sorted(prices, reverse=owner & 1) for h in self.queues[owner ^ 1, p]]

    def opposite(self, owner, price):
        return next(iter(self.crossing(owner, price)), None)

    def tradable(self, owner, price, account, smp):
        found = 0
        for handle in self.crossing(owner, price):
            if self.live[handle][0] == account and smp == r.SMP_NEWEST:
                break
            if self.live[handle][0] != account or smp == r.SMP_OFF:
                found += self.live[handle][3]
        return found

    # -- places -------------------------------------------------------------------------------

    def take_ref(self):
        self.next_ref += 1
        return self.next_ref - 1

    def may_rest(self, command):
        return int(command["tif"]) != IMMEDIATE and not int(command["flags"]) & r.MARKET

    def far_refuses(self, owner, price, leaving):
        far = [key for key in self.queues if not WINDOW <= key[1] < WINDOW_END]
        if WINDOW <= price < WINDOW_END or (owner, price) in far:
            return False
        if leaving is not None:
            key = self.live[leaving][1], self.live[leaving][2]
            if key in far and len(self.queues[key]) == 1:
                return False
        mine = [key for key in far if key[0] == owner]
        return len(mine) >= self.far_cap or len(far) >= self.far_pool

    def book(self, order, account, owner, price, qty, total):
        self.live[order] = [account, owner, price, qty, total]
        self.queues.setdefault((owner, price), []).append(order)

    def leave(self, handle):
        _, owner, price, _, _ = self.live.pop(handle)
        self.queues[owner, price].remove(handle)
        if not self.queues[owner, price]:
            del self.queues[owner, price]

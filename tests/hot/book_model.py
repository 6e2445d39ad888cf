"""The book once more with plain dicts and lists: slow, obvious, and without any array of its own.

Knows nothing of ladder or far arrays but the one rule that users can see: an order that may rest at
a far price is refused when no far level is to be had.
"""

from appliance.layout import record as r
from tests.hot.book_kit import IMMEDIATE, WINDOW, WINDOW_END

SHOWN, HIDDEN, OPENING, CLOSING = range(4)


class Order:
    """A booked order. owner: symbol * 2 + side; shown + reserve is open."""

    def __init__(self, handle, command, owner, group, price, total):
        flags, least = int(command["flags"]), int(command["min_qty"])
        self.handle, self.account = handle, int(command["account"])
        self.owner, self.group, self.price, self.total = owner, group, price, total
        self.floor = least if flags & r.RESERVE else 0
        self.least = least if group == HIDDEN else 0
        self.shown = self.reserve = 0

    def fill(self, qty):
        self.shown = min(qty, self.floor) if self.floor else qty
        self.reserve = qty - self.shown

    def open(self):
        return self.shown + self.reserve

    def unshown(self):
        return r.UNSHOWN if self.group else 0


class Model:
    """`send(command)` gives the events of one command, as tuples in the order of book_kit."""

    def __init__(self, far_cap, far_levels, bounds=(2147483647, 0)):
        self.far_cap, self.far_pool, self.bounds = far_cap, far_levels - 1, bounds
        self.queues = {}        # (group, owner, price) -> orders, oldest first
        self.live = {}          # handle -> Order
        self.next_ref = self.next_match = 1

    def send(self, command):
        self.out = []
        kind, target = int(command["kind"]), int(command["target"])
        if kind == r.ENTER:
            self.enter(command)
        elif target in self.live:
            {r.CANCEL: self.cancel, r.REPLACE: self.replace, r.MODIFY: self.modify}[kind](
                command, self.live[target])
        return self.out

    def event(self, kind, side, order, reason=0, flags=0, resting=0, qty=0, price=0, left=0,
              number=0):
        self.out.append((kind, side, reason, flags, order, resting, qty, price, left, number))

    def enter(self, command):
        order, side, qty = (int(command[name]) for name in ("order", "side", "qty"))
        owner, price = int(command["symbol"]) * 2 + side, int(command["price_ticks"])
        if self.far_refuses(command, owner, price, None):
            self.event(r.REFUSED, side, order, qty=qty, price=price)
            return
        self.event(r.ACCEPTED, side, order, qty=qty, number=self.take_ref())
        self.settle(command, order, owner, price, qty, qty)

    def shrink(self, order, count):
        """Takes shares off, the reserve's first; how many were shown on the feed."""
        of_reserve = min(order.reserve, count)
        order.reserve -= of_reserve
        order.shown -= count - of_reserve
        return 0 if order.group else count - of_reserve

    def cancel(self, command, order):
        wanted, reason = int(command["qty"]), int(command["tif"]) or ord("U")
        if wanted >= order.total:
            return
        left = max(0, wanted - (order.total - order.open()))
        if left == 0:
            self.cancel_whole(order, reason)
            return
        removed = order.open() - left
        shown = self.shrink(order, removed)
        order.total = wanted
        self.event(r.CANCELED, order.owner & 1, order.handle, reason,
                   r.WAS_BOOKED | order.unshown(), qty=removed, price=shown, left=left)

    def cancel_whole(self, order, reason=ord("U")):
        self.leave(order)
        self.event(r.CANCELED, order.owner & 1, order.handle, reason,
                   r.WAS_BOOKED | r.ORDER_DEAD | order.unshown(), qty=order.open(),
                   price=0 if order.group else order.shown)

    def replace(self, command, old):
        order, price, total = (int(command[name]) for name in ("order", "price_ticks", "qty"))
        owner, side = old.owner, old.owner & 1
        qty = total - (old.total - old.open())
        if qty <= 0:
            self.cancel_whole(old)
            return
        if self.far_refuses(command, owner, price, old):
            self.event(r.REFUSED, side, order, resting=old.handle, qty=qty, price=price)
            return
        self.leave(old)
        self.event(r.REPLACED, side, order, flags=r.RESTING_DEAD, resting=old.handle, qty=qty,
                   number=self.take_ref())
        group = self.group_of(command)
        if old.group == group == SHOWN and self.may_rest(command) \
                and self.limit(owner, price) == price and not self.meets(owner, price, qty):
            made = self.book(command, order, owner, price, qty, total)
            self.event(r.MOVED, side, order, resting=old.handle, qty=made.shown, price=price)
            return
        if old.group == SHOWN:
            self.event(r.UNBOOKED, side, order, resting=old.handle, qty=old.shown)
        self.settle(command, order, owner, price, qty, total)

    def modify(self, command, order):
        wanted = int(command["qty"])
        left = wanted - (order.total - order.open())
        if wanted > 999_999:
            return
        if left <= 0:
            self.cancel_whole(order)
            return
        grows = wanted > order.total
        order.total = wanted
        shown = 0
        if grows:
            order.fill(left)
        else:
            shown = self.shrink(order, order.open() - left)
        self.event(r.MODIFIED, order.owner & 1, order.handle, flags=order.unshown(), qty=left,
                   left=shown)
        if grows:
            self.to_back(order)
            self.event(r.MOVED, order.owner & 1, order.handle, flags=order.unshown(),
                       resting=order.handle, qty=order.shown, price=order.price,
                       number=self.take_ref())

    # -- matching -----------------------------------------------------------------------------

    def settle(self, command, order, owner, price, qty, total):
        """Post-only, minimum quantity, trades and preventions, then the rest."""
        flags, side = int(command["flags"]), owner & 1
        if flags & r.AUCTION:
            self.booked(command, order, owner, price, qty, total)
            return
        limit = self.limit(owner, price)
        least = 0 if flags & r.RESERVE else int(command["min_qty"])
        if flags & r.POST_ONLY and self.meets(owner, limit, qty):
            self.event(r.CANCELED, side, order, ord("G"), r.ORDER_DEAD, qty=qty)
            return
        if least and (least > qty or not self.tradable(command, owner, limit, qty, least)):
            if not self.may_rest(command):
                self.event(r.CANCELED, side, order, ord("I"), r.ORDER_DEAD, qty=qty)
                return
        else:
            qty = self.sweep(command, order, owner, limit, qty)
        if not qty:
            return
        if limit != price or not self.may_rest(command):
            reason = ord("K") if limit != price else ord("I")
            self.event(r.CANCELED, side, order, reason, r.ORDER_DEAD, qty=qty)
            return
        self.booked(command, order, owner, price, qty, total)

    def booked(self, command, order, owner, price, qty, total):
        made = self.book(command, order, owner, price, qty, total)
        self.event(r.BOOKED, owner & 1, order, flags=made.unshown(), qty=made.shown, price=price)

    def sweep(self, command, order, owner, limit, qty):
        """Trades with what it meets; the quantity left."""
        account, smp, side = int(command["account"]), int(command["smp"]), owner & 1
        passed = set()
        while qty:
            resting = next((each for each in self.crossing(owner, limit)
                            if each.handle not in passed), None)
            if resting is None:
                break
            if min(resting.least, resting.open()) > qty:
                passed.add(resting.handle)
                continue
            if smp != r.SMP_OFF and resting.account == account:
                if smp == r.SMP_NEWEST:
                    self.event(r.PREVENTED, side, order, smp, r.ORDER_DEAD, resting.handle, qty,
                               resting.price, min(qty, resting.open()))
                    return 0
                if smp == r.SMP_OLDEST:
                    self.leave(resting)
                    self.event(r.PREVENTED, side ^ 1, resting.handle, smp,
                               r.ORDER_DEAD | r.WAS_BOOKED | resting.unshown(), order,
                               resting.open(), resting.price, min(qty, resting.open()))
                    continue
                lost = min(qty, resting.shown)
                qty -= lost
                resting.shown -= lost
                self.event(r.PREVENTED, side ^ 1, resting.handle, smp,
                           r.WAS_BOOKED | resting.unshown() | r.ORDER_DEAD * (not resting.open()),
                           order, lost, resting.price, resting.shown)
                self.event(r.PREVENTED, side, order, smp, r.ORDER_DEAD * (qty == 0),
                           resting.handle, lost, resting.price, lost)
            else:
                traded = min(qty, resting.shown)
                qty -= traded
                resting.shown -= traded
                self.event(r.TRADE, side, order, 0,
                           r.ORDER_DEAD * (qty == 0) | r.RESTING_DEAD * (not resting.open())
                           | resting.unshown(), resting.handle, traded, resting.price,
                           resting.shown, self.next_match)
                self.next_match += 1
            if not resting.open():
                self.leave(resting)
            elif not resting.shown:
                resting.fill(resting.reserve)
                self.to_back(resting)
                self.event(r.REFRESHED, 0, resting.handle, qty=resting.shown, price=resting.price,
                           number=self.take_ref())
        return qty

    def limit(self, owner, price):
        """The limit as the collar allows it."""
        return max(price, self.bounds[1]) if owner & 1 else min(price, self.bounds[0])

    def crossing(self, owner, price):
        """What an order of this side and limit could meet, in matching order."""
        keys = [key for key in self.queues if key[1] == owner ^ 1 and key[0] in (SHOWN, HIDDEN)
                and (key[2] >= price if owner & 1 else key[2] <= price)]
        keys.sort(key=lambda key: (-key[2] if owner & 1 else key[2], key[0]))
        return [order for key in keys for order in self.queues[key]]

    def meets(self, owner, price, qty):
        return any(min(each.least, each.open()) <= qty for each in self.crossing(owner, price))

    def tradable(self, command, owner, price, qty, least):
        """Level by level: shown parts in turn, then reserves, those of own orders first."""
        account, smp, found = int(command["account"]), int(command["smp"]), 0
        crossing = list(self.crossing(owner, price))
        while crossing and found < least:
            level = [each for each in crossing if (each.price, each.group) == (
                crossing[0].price, crossing[0].group)]
            del crossing[:len(level)]
            later = []
            for each in level:
                own = each.account == account and smp != r.SMP_OFF
                if min(each.least, each.open()) > qty or own and smp == r.SMP_OLDEST:
                    continue
                if own and smp == r.SMP_NEWEST:
                    return found >= least
                found += 0 if own else min(qty, each.shown)
                qty -= min(qty, each.shown)
                later.append((not own, each.reserve))
            for counts, reserve in sorted(later):
                found += min(qty, reserve) if counts else 0
                qty -= min(qty, reserve)
        return found >= least

    # -- places -------------------------------------------------------------------------------

    def take_ref(self):
        self.next_ref += 1
        return self.next_ref - 1

    def may_rest(self, command):
        return bool(int(command["flags"]) & r.AUCTION or (
            int(command["tif"]) != IMMEDIATE and not int(command["flags"]) & r.MARKET))

    def group_of(self, command):
        flags = int(command["flags"])
        if flags & r.AUCTION:
            return CLOSING if flags & r.ON_CLOSE else OPENING
        return HIDDEN if flags & r.HIDDEN else SHOWN

    def is_far(self, key):
        return key[0] != SHOWN or not WINDOW <= key[2] < WINDOW_END

    def far_refuses(self, command, owner, price, leaving):
        key = self.group_of(command), owner, price
        if not self.may_rest(command) or not self.is_far(key) or key in self.queues:
            return False
        far = [each for each in self.queues if self.is_far(each)]
        if leaving is not None:
            old = leaving.group, leaving.owner, leaving.price
            if old in far and len(self.queues[old]) == 1:
                far.remove(old)
        mine = [each for each in far if each[:2] == key[:2]]
        return len(mine) >= self.far_cap or len(far) >= self.far_pool

    def book(self, command, handle, owner, price, qty, total):
        order = Order(handle, command, owner, self.group_of(command), price, total)
        order.fill(qty)
        self.live[handle] = order
        self.queues.setdefault((order.group, owner, price), []).append(order)
        return order

    def to_back(self, order):
        queue = self.queues[order.group, order.owner, order.price]
        queue.remove(order)
        queue.append(order)

    def leave(self, order):
        key = order.group, order.owner, order.price
        del self.live[order.handle]
        self.queues[key].remove(order)
        if not self.queues[key]:
            del self.queues[key]

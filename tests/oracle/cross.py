"""Crosses: one price for all, who gets shares at it, and what imbalance messages say before.

`Cross(book, symbol index, letter)` looks at the book as it is; `run` carries the cross out.
Prices are in units of 0.0001, 0 where there is none.
"""


class Piece:
    """Shares of one order that trade in a cross, all shown or all not shown."""

    def __init__(self, order, quantity, is_shown):
        self.order, self.left, self.is_shown = order, quantity, is_shown


def clearing(orders, reference):
    """(price, shares) at which most of the orders trade; (0, 0) when none can."""
    candidates = {order.price for order in orders if not order.is_market()}
    best = None
    for price in sorted(candidates) or [reference]:
        bought, sold = wanted(orders, price)
        rank = (-min(bought, sold), abs(bought - sold), abs(price - reference), price)
        if price and min(bought, sold) and (best is None or rank < best):
            best = rank
    return (best[3], -best[0]) if best else (0, 0)


def wanted(orders, price):
    """Shares that would be bought and sold at this price."""
    bought = sum(order.open for order in orders if order.buy and order.allows(price))
    sold = sum(order.open for order in orders if not order.buy and order.allows(price))
    return bought, sold


def pieces(orders, buy, price, volume):
    """Who gets the first `volume` shares of one side, in order; the shown part of each first."""
    def priority(order):
        eagerness = 0 if order.is_market() else -order.price if buy else order.price
        return not order.is_market(), eagerness, not order.is_on_feed(), order.number

    found = []
    for order in sorted((each for each in orders if each.buy == buy), key=priority):
        if not order.allows(price):
            continue
        for part, is_shown in ((order.shown, True), (order.open - order.shown, False)):
            quantity = min(part, volume)
            if quantity:
                found.append(Piece(order, quantity, is_shown))
                volume -= quantity
    return found


class Cross:
    """letter: O, C or H. `auction`: its own orders; `orders`: those and the continuous book."""

    def __init__(self, book, symbol_idx, letter):
        self.book, self.symbol_idx, self.letter = book, symbol_idx, letter
        self.symbol = book.symbols[symbol_idx]
        self.auction = book.places[symbol_idx].by_number(letter)
        self.orders = self.auction + [
            order for side in book.sides[symbol_idx] for order in side.in_priority()
            if not order.min_qty]

    def run(self):
        """Trades, then cancels what is left of the cross's own orders."""
        price, volume = clearing(self.orders, self.symbol.reference)
        if volume:
            self.trade(price, volume)
        self.cancel_rest()

    def trade(self, price, volume):
        buys, sells = (pieces(self.orders, buy, price, volume) for buy in (True, False))
        allotted = [piece.order for piece in buys + sells]
        while buys:
            buy, sell = buys[0], sells[0]
            quantity = min(buy.left, sell.left)
            for piece in (buy, sell):
                self.take(piece, quantity)
            self.book.out.crossed(buy, sell, quantity, price, self.letter,
                                  self.book.next_match())
            buys, sells = ([piece for piece in side if piece.left] for side in (buys, sells))
        self.book.out.cross_done(self.symbol_idx, volume, price, self.letter,
                                 self.book.next_match())
        for order in allotted:
            if order.is_on_feed() and order.open and not order.shown:
                self.book.refresh(order)
        self.symbol.reference = price

    def take(self, piece, quantity):
        piece.left -= quantity
        piece.order.open -= quantity
        if piece.is_shown:
            piece.order.shown -= quantity
        if not piece.order.open:
            self.book.remove(piece.order)

    def cancel_rest(self):
        for order in self.book.places[self.symbol_idx].by_number(self.letter):
            self.book.cancel(order, order.open, b"I")

    def imbalance(self):
        """Numbers of an imbalance message: paired, imbalance, direction, far, near, reference,
        variation letter."""
        if not self.auction:
            return 0, 0, b"O", 0, 0, 0, b" "
        reference = self.clamped_reference()
        bought, sold = wanted(self.orders, reference)
        direction = b"B" if bought > sold else b"S" if sold > bought else b"N"
        far, _ = clearing(self.auction, self.symbol.reference)
        near, _ = clearing(self.orders, self.symbol.reference)
        return (min(bought, sold), abs(bought - sold), direction, far, near, reference,
                variation(near, reference))

    def clamped_reference(self):
        """The reference, drawn into the shown quotes where there are some."""
        sells, buys = self.book.sides[self.symbol_idx]
        price, bid, ask = self.symbol.reference, buys.best_shown(), sells.best_shown()
        if bid is not None:
            price = max(price, bid)
        if ask is not None:
            price = min(price, ask)
        return price


def variation(near, reference):
    """Letter for how far the near price is from the reference: a space when it cannot be said."""
    if not near or not reference:
        return b" "
    percent = abs(near - reference) * 100 // reference
    if percent < 1:
        return b"L"
    if percent < 10:
        return b"%d" % percent
    return b"A" if percent < 20 else b"B" if percent < 30 else b"C"

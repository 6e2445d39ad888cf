"""What is known of an account's orders, from its acknowledgements alone (OUCH, wire-spec 5)."""

from dataclasses import dataclass

from ..layout.wire_ouch import TAG_NUMBERS

SECONDARY = TAG_NUMBERS["secondary_ord_ref_num"]


@dataclass(slots=True)
class Order:
    """One order. price x 10,000; quantities in shares; `open_qty` 0 means it is not live."""

    user_ref_num: int
    symbol: str
    side: str                   # B S T E
    price: int
    open_qty: int
    order_reference_number: int
    executed_qty: int = 0       # of the whole chain of replaces, or self-match decremented: what
    #                             the quantity of a Replace, Modify or Cancel counts beside the open


def follow(orders: dict, record) -> None:
    """Brings `orders` ({UserRefNum: Order}) up to date with one acknowledgement.

    A Replaced moves the order to its new number. Letters that change no order are ignored, and so
    are answers about an order whose acceptance was not seen.
    """
    letter, number = record.letter, record.get("user_ref_num", 0)
    if letter in "AU":
        old = orders.pop(record.orig_user_ref_num, None) if letter == "U" else None
        live = record.order_state == "L"
        orders[number] = Order(number, record.symbol, record.side, record.price,
                               record.quantity if live else 0, record.order_reference_number,
                               old.executed_qty if old else 0)
        return
    order = orders.get(number)
    if order is None:
        return
    if letter == "E":
        order.open_qty -= record.quantity
        order.executed_qty += record.quantity
    elif letter == "C":
        order.open_qty -= record.quantity
    elif letter == "D":
        order.open_qty -= record.decrement_shares
        order.executed_qty += record.decrement_shares
    elif letter == "M":
        order.open_qty, order.side = record.quantity, record.side
    elif letter == "R":
        order.order_reference_number = record.tags.get(SECONDARY, order.order_reference_number)
    elif letter == "T":
        order.price, order.order_reference_number = record.price, record.order_reference_number

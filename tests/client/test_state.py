"""An account's orders from its acknowledgements alone equal the venue's own."""

import pytest

from appliance.client.state import follow
from appliance.layout.codec import decode, encode
from tests.client.market import ACCOUNTS, day
from tests.oracle.adversary import adversarial
from tests.oracle.generate import realistic


def known(stream):
    orders = {}
    for message in stream:
        follow(orders, decode("ouch", "out", message))
    return orders


@pytest.mark.parametrize("flow", [realistic, adversarial])
@pytest.mark.parametrize("account", range(len(ACCOUNTS)))
def test_live_orders_equal_the_venues(flow, account):
    venue = day(3, 6000, flow)
    letters = {chr(message[0]) for message in venue.streams[account]}
    assert letters >= set("AUCE") and (flow is realistic or letters >= set("ADTMJ"))
    orders = known(venue.streams[account])
    low = (1 << 56) - 1                          # above it stands the partition
    live = {number: (order.open, order.side.decode(), order.price, order.executed(), order.number)
            for number, order in venue.book.live[account].items()}
    assert live == {number: (order.open_qty, order.side, order.price, order.executed_qty,
                             order.order_reference_number & low)
                    for number, order in orders.items() if order.open_qty}
    assert len(live) > 5 and all(order.open_qty >= 0 for order in orders.values())


def out(letter, **fields):
    return encode("ouch", "out", letter, fields | {"timestamp": 1})


ACCEPTED = {"user_ref_num": 5, "side": "B", "quantity": 30, "symbol": "ACME", "price": 100,
            "time_in_force": "0", "display": "Y", "order_reference_number": 9, "capacity": "P",
            "intermarket_sweep": "N", "cross_type": "N", "order_state": "L", "cl_ord_id": ""}


def test_an_order_that_was_never_live_is_known_as_dead():
    orders = known([out("A", **ACCEPTED | {"order_state": "D"})])
    assert (orders[5].open_qty, orders[5].symbol) == (0, "ACME")


def test_answers_about_unknown_orders_and_other_letters_change_nothing():
    stream = [out("A", **ACCEPTED), out("C", user_ref_num=6, quantity=1, reason="U"),
              out("E", user_ref_num=6, quantity=1, price=1, liquidity_flag="A", match_number=1),
              out("J", user_ref_num=7, reason=2, cl_ord_id=""), out("S", event_code="S"),
              out("P", user_ref_num=5), out("I", user_ref_num=5),
              out("B", user_ref_num=5, match_number=1, reason="E", cl_ord_id=""),
              out("R", user_ref_num=6, reason="R", tags={1: 12, 22: 5})]
    assert list(known(stream)) == [5] and known(stream) == known(stream[:1])


def test_a_refreshed_order_has_a_new_reference_and_a_decremented_one_counts_its_loss():
    stream = [out("A", **ACCEPTED),
              out("R", user_ref_num=5, reason="R", tags={1: 12, 22: 5}),
              out("E", user_ref_num=5, quantity=4, price=1, liquidity_flag="A", match_number=1),
              out("D", user_ref_num=5, decrement_shares=6, reason="Q", quantity_prevented=6,
                  execution_price=1, liquidity_flag="A", aiq_strategy="D")]
    order = known(stream)[5]
    assert (order.order_reference_number, order.open_qty, order.executed_qty) == (12, 20, 10)


def test_a_replace_whose_original_was_not_seen_starts_a_chain():
    orders = known([out("U", **ACCEPTED | {"orig_user_ref_num": 4})])
    assert (orders[5].open_qty, orders[5].executed_qty) == (30, 0)

"""Pools that run out: refusals are deterministic, counted, and end when something comes back."""

import random

from tests.hot.core_kit import (
    Kit, cancel, enter, kinds, mass_cancel, rejected, replace,
)


def test_page_quota_refuses_deterministically():
    kit = Kit(page_quota=2)
    kit.send(enter(1))
    kit.send(enter(300))
    assert kit.send(enter(600)) == [rejected(600, 10)]
    assert kit.send(replace(1, 601)) == [rejected(601, 10)]
    assert kinds(kit.send(enter(602, price=5))) == b"J"
    kit.send(cancel(1))
    kit.check_counts()
    assert kinds(kit.send(enter(603))) == b"A"
    kit.send(cancel(603))
    assert kinds(kit.send(enter(900))) == b"A"      # the empty newest page does not count
    assert kit.count("capacity_rejects") == 2 and kit.session()["page_cnt"] == 2
    kit.check_counts()


def test_page_pool_runs_out_and_comes_back():
    kit = Kit(pages=5, page_quota=100)
    for page in range(4):
        assert kinds(kit.send(enter(page * 256 + 7), account=page % 2)) == b"A"
    assert kit.core.book.engine[0]["free_page"] == 0
    assert kit.send(enter(1), account=2) == [rejected(1, 10)]
    assert kit.send(enter(5000)) == [rejected(5000, 10)]
    kit.send(cancel(7))
    assert kinds(kit.send(enter(2), account=2)) == b"A"
    kit.check_counts()
    assert kit.live() == [(0, 519), (1, 263), (1, 775), (2, 2)]


def test_pages_come_and_go_over_many_numbers():
    kit, dice = Kit(pages=24, page_quota=7), random.Random(3)
    number = 0
    for _ in range(4000):
        account = dice.randrange(3)
        number += dice.choice((1, 3, 200, 3000))
        kit.send(enter(number, price=1000000 + 100 * dice.randrange(40)), account)
        mine = [ref for owner, ref in kit.live() if owner == account]
        if mine and dice.random() < 0.8:
            kit.send(cancel(dice.choice(mine)), account)
    kit.check_counts()
    assert kit.count("capacity_rejects") > 50
    for account in range(3):
        kit.send(mass_cancel(number + 1), account)
    kit.check_counts()
    assert kit.live() == [] and kit.core.book.engine[0]["free_page"] >= 20


def test_far_levels_running_out_is_a_reject():
    kit = Kit(far_levels=4, far_cap=4)
    codes = [kinds(kit.send(enter(n, price=100 * n))) for n in range(1, 6)]
    assert codes == [b"A", b"A", b"A", b"J", b"J"]
    assert kit.send(replace(1, 6, price=900)) != [] and kit.count("capacity_rejects") == 2
    kit.check_counts()


def test_streams_stop_new_orders_before_they_are_full():
    kit, number = Kit(chunks=12), 0
    while kit.count("capacity_rejects") == 0:
        number += 1
        kit.send(enter(number, side=b"BS"[number & 1:][:1], price=1600000 if number & 1 == 0
                       else 1700000), account=0)
        assert number < 20000
    live = len(kit.live())
    kit.send(mass_cancel(number + 1))
    assert live > 1000 and kit.live() == [] and kit.count("stream_full") == 0

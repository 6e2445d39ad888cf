"""Logins, tokens and what a disconnect does to orders."""

import random

import numpy as np
import pytest

from appliance.hot import tokens
from appliance.layout import record, shared
from tests.hot.core_kit import (
    Kit, canceled, enter, kinds,
)


@pytest.fixture
def kit():
    kit = Kit()
    yield kit
    kit.check_healthy()


def login(kit, account, token, requested=0, ip=0x0A000001, udp_port=4000):
    kit.command(record.LOGIN, account, clordid=np.frombuffer(token + bytes(4), np.uint8),
                upstream_seq=requested, ip=ip, udp_port=udp_port, mac=np.arange(6, dtype=np.uint8))


def token_words(token):
    return np.uint64(int.from_bytes(token[:8], "big")), np.uint64(int.from_bytes(token[8:], "big"))


def test_login_binds_and_a_second_one_replaces(kit):
    accounts = kit.core.accounts
    kit.send(enter(1))
    login(kit, 0, b"TOKEN00001", requested=2)
    session = kit.session()
    assert tokens.find_token(accounts, *token_words(b"TOKEN00001")) == 0
    assert (session["state"], session["epoch"]) == (shared.SESSION_LIVE, 1)
    assert session["sent_seq"] == session["login_seq"] == 2
    assert session["mac"].tolist() == [0, 1, 2, 3, 4, 5]
    session["next_upstream_seq"] = 50
    login(kit, 0, b"TOKEN00001", requested=1)
    assert (session["epoch"], session["next_upstream_seq"]) == (1, 50)
    login(kit, 0, b"TOKEN00002", requested=999, udp_port=4001)
    assert tokens.find_token(accounts, *token_words(b"TOKEN00001")) == -1
    assert tokens.find_token(accounts, *token_words(b"TOKEN00002")) == 0
    assert (session["epoch"], session["next_upstream_seq"]) == (2, 1)
    assert session["sent_seq"] == session["next_seq"] and kit.live() == [(0, 1)]
    kit.command(record.SKIP, 0, upstream_seq=77)
    assert session["next_upstream_seq"] == 77 and kit.count("logins") == 2


def test_tokens_come_and_go_without_losing_each_other():
    kit, dice, known = Kit(accounts=40, pages=4, is_open=False), random.Random(4), {}
    for turn in range(3000):
        account = dice.randrange(40)
        if account in known and dice.random() < 0.4:
            kit.command(record.LOGOUT, account)
            del known[account]
        else:
            known[account] = b"%010d" % dice.randrange(10 ** 10)
            login(kit, account, known[account])
        if turn % 50 == 0:
            for owner, token in known.items():
                assert tokens.find_token(kit.core.accounts, *token_words(token)) == owner
    assert np.count_nonzero(kit.core.accounts.tokens) == len(known)


def test_disconnect_cancels_in_order_of_numbers(kit):
    login(kit, 0, b"TOKEN00001")
    for number in (5, 900, 901, 70000):
        kit.send(enter(number, price=1600000 + 100 * (number % 7)))
    kit.feed()
    kit.command(record.DISCONNECT, 0)
    assert kit.out() == [canceled(n, 100, b"Z") for n in (5, 900, 901, 70000)]
    assert kinds(kit.feed()) == b"DDDD" and kit.session()["state"] == shared.SESSION_ENDED
    assert tokens.find_token(kit.core.accounts, *token_words(b"TOKEN00001")) == -1
    kit.command(record.LOGOUT, 0)
    assert kit.count("disconnects") == 1


def test_orders_stay_without_cancel_on_disconnect(kit):
    kit.session()["cancel_on_disconnect"] = 0
    login(kit, 0, b"TOKEN00001")
    kit.send(enter(5))
    kit.command(record.LOGOUT, 0)
    assert kit.out() == [] and kit.live() == [(0, 5)]

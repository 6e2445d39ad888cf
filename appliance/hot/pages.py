"""UserRefNum pages: 256 consecutive numbers of an account share a page, whose index makes handles.

UserRefNums only grow, so a new order needs the account's newest page or a newer one; a page is held
while it has live orders or is the account's newest. An empty newest page is given back before a
newer one is taken, so it never stands in the way of the account's quota.
"""

import numpy as np
from numba import njit, types

from appliance.hot.kernel import later
from appliance.hot.types import ACCOUNTS, BOOK, ENGINE, I64, INLINE, INNER, VOID

_ONE32, _ONE16 = np.uint32(1), np.uint16(1)


@later(I64(I64, I64), **INLINE)
def _hash(account, key):
    """Spreads (account, key); the products stay below 2^63."""
    return (key * 0x9E3779B1 + account * 0x85EBCA6B) >> 11


@later(I64(ACCOUNTS, I64, I64), **INLINE)
def find_page(accounts, account, key):
    """Page of the account's numbers key * 256 + 0..255, 0 when it holds none."""
    pages, table = accounts.pages, accounts.page_hash
    last = np.int64(accounts.sessions[account]["last_page"])
    if last != 0 and np.int64(pages[last]["key"]) == key:
        return last
    mask = np.int64(table.size - 1)
    slot = _hash(account, key) & mask
    while True:
        page = np.int64(table[slot])
        if page == 0 or (np.int64(pages[page]["key"]) == key
                         and np.int64(pages[page]["account"]) == account):
            return page
        slot = (slot + 1) & mask


@later(I64(BOOK, ACCOUNTS, I64, I64), **INLINE)
def find_order(book, accounts, account, number):
    """Handle of the account's live order with this UserRefNum, 0 when there is none."""
    page = find_page(accounts, account, number >> 8)
    handle = (page << 8) | (number & 255)
    if page == 0 or book.orders[handle]["qty"] == 0:
        return np.int64(0)
    return handle


@njit(types.boolean(ACCOUNTS, ENGINE, I64, I64), **INLINE)
def has_room(accounts, engine, account, number):
    """Whether `take` can give a handle for this number: page held, or pool and quota allow one."""
    session = accounts.sessions[account]
    last = np.int64(session["last_page"])
    if last != 0 and np.int64(accounts.pages[last]["key"]) == number >> 8:
        return True
    spare = np.int64(last != 0 and accounts.pages[last]["live_cnt"] == 0)
    return np.int64(engine[0]["free_page"]) + spare > 0 \
        and np.int64(session["page_cnt"]) - spare < np.int64(session["page_quota"])


@later(VOID(ACCOUNTS, I64), **INNER)
def _remove_from_table(accounts, page):
    """Takes the page out of the hash and moves later entries of its run up, so no hole is left."""
    pages, table = accounts.pages, accounts.page_hash
    mask = np.int64(table.size - 1)
    hole = _hash(np.int64(pages[page]["account"]), np.int64(pages[page]["key"])) & mask
    while np.int64(table[hole]) != page:
        hole = (hole + 1) & mask
    slot = hole
    while True:
        slot = (slot + 1) & mask
        moved = np.int64(table[slot])
        if moved == 0:
            break
        home = _hash(np.int64(pages[moved]["account"]), np.int64(pages[moved]["key"])) & mask
        if (slot - home) & mask >= (slot - hole) & mask:
            table[hole] = np.uint32(moved)
            hole = slot
    table[hole] = np.uint32(0)


@later(VOID(ACCOUNTS, ENGINE, I64), **INNER)
def release(accounts, engine, page):
    """Gives an empty page back to the pool."""
    pages, entry = accounts.pages, accounts.pages[page]
    session = accounts.sessions[np.int64(entry["account"])]
    _remove_from_table(accounts, page)
    before, after = np.int64(entry["prev"]), np.int64(entry["next"])
    if before != 0:
        pages[before]["next"] = np.uint32(after)
    else:
        session["first_page"] = np.uint32(after)
    if after != 0:
        pages[after]["prev"] = np.uint32(before)
    else:
        session["last_page"] = np.uint32(before)
    session["page_cnt"] -= _ONE32
    free_cnt = np.int64(engine[0]["free_page"])
    accounts.page_free[free_cnt] = np.uint32(page)
    engine[0]["free_page"] = np.uint64(free_cnt + 1)


@later(I64(ACCOUNTS, ENGINE, I64, I64), **INNER)
def _take_page(accounts, engine, account, key):
    pages, session, table = accounts.pages, accounts.sessions[account], accounts.page_hash
    last = np.int64(session["last_page"])
    if last != 0 and pages[last]["live_cnt"] == 0:
        release(accounts, engine, last)
        last = np.int64(session["last_page"])
    free_cnt = np.int64(engine[0]["free_page"]) - 1
    page = np.int64(accounts.page_free[free_cnt])
    engine[0]["free_page"] = np.uint64(free_cnt)
    entry = pages[page]
    entry["key"], entry["account"] = np.uint32(key), np.uint16(account)
    entry["prev"], entry["next"], entry["live_cnt"] = np.uint32(last), np.uint32(0), np.uint16(0)
    if last != 0:
        pages[last]["next"] = np.uint32(page)
    else:
        session["first_page"] = np.uint32(page)
    session["last_page"] = np.uint32(page)
    session["page_cnt"] += _ONE32
    mask = np.int64(table.size - 1)
    slot = _hash(account, key) & mask
    while table[slot] != 0:
        slot = (slot + 1) & mask
    table[slot] = np.uint32(page)
    return page


@later(I64(ACCOUNTS, ENGINE, I64, I64), **INLINE)
def take(accounts, engine, account, number):
    """Handle for a new order of this number; `has_room` has said yes."""
    last = np.int64(accounts.sessions[account]["last_page"])
    key = number >> 8
    if last == 0 or np.int64(accounts.pages[last]["key"]) != key:
        last = _take_page(accounts, engine, account, key)
    return (last << 8) | (number & 255)


@later(VOID(ACCOUNTS, I64, I64), **INLINE)
def order_lives(accounts, account, handle):
    """Counts a new live order."""
    accounts.pages[handle >> 8]["live_cnt"] += _ONE16
    accounts.sessions[account]["live_cnt"] += _ONE32


@later(VOID(ACCOUNTS, ENGINE, I64, I64), **INLINE)
def order_dies(accounts, engine, account, handle):
    """Counts an order that has left; its page goes when it is empty and not the newest."""
    page = handle >> 8
    session = accounts.sessions[account]
    session["live_cnt"] -= _ONE32
    live = np.int64(accounts.pages[page]["live_cnt"]) - 1
    accounts.pages[page]["live_cnt"] = np.uint16(live)
    if live == 0 and np.int64(session["last_page"]) != page:
        release(accounts, engine, page)

"""Tokens of live sessions: an open-addressed table from a token to its account."""

import numpy as np

from appliance.hot.kernel import later
from appliance.hot.types import ACCOUNTS, I64, INLINE, INNER, KERNEL, U64, VOID

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MIX = np.uint64(0x9E3779B1)
_MIX_LOW = np.uint64(0x85EBCA6B)


@later(I64(U64, U64), **INLINE)
def _hash(token_hi, token_lo):
    """Folds the ten characters to 32 bits and spreads them; no product reaches 2^64."""
    folded = (token_hi & _LOW) ^ (token_hi >> _HALF) ^ ((token_lo * _MIX_LOW) & _LOW)
    return np.int64((folded * _MIX) >> _HALF)


@later(I64(ACCOUNTS, U64, U64), **KERNEL)
def find_token(accounts, token_hi, token_lo):
    """Account index of the live session with this token (8 and 2 bytes, big-endian), or -1."""
    table, sessions = accounts.tokens, accounts.sessions
    mask = np.int64(table.size - 1)
    slot = _hash(token_hi, token_lo) & mask
    while table[slot] != 0:
        account = np.int64(table[slot]) - 1
        if sessions[account]["token_hi"] == token_hi and sessions[account]["token_lo"] == token_lo:
            return account
        slot = (slot + 1) & mask
    return np.int64(-1)


@later(VOID(ACCOUNTS, I64), **INNER)
def insert_token(accounts, account):
    """Makes the account's present token known; it is not yet in the table."""
    table, session = accounts.tokens, accounts.sessions[account]
    mask = np.int64(table.size - 1)
    slot = _hash(session["token_hi"], session["token_lo"]) & mask
    while table[slot] != 0:
        slot = (slot + 1) & mask
    table[slot] = np.uint32(account + 1)


@later(VOID(ACCOUNTS, I64), **INNER)
def remove_token(accounts, account):
    """Forgets the account's present token, which is in the table; no hole is left in its run."""
    table, sessions = accounts.tokens, accounts.sessions
    mask = np.int64(table.size - 1)
    hole = _hash(sessions[account]["token_hi"], sessions[account]["token_lo"]) & mask
    while np.int64(table[hole]) != account + 1:
        hole = (hole + 1) & mask
    slot = hole
    while True:
        slot = (slot + 1) & mask
        if table[slot] == 0:
            break
        moved = sessions[np.int64(table[slot]) - 1]
        home = _hash(moved["token_hi"], moved["token_lo"]) & mask
        if (slot - home) & mask >= (slot - hole) & mask:
            table[hole] = table[slot]
            hole = slot
    table[hole] = np.uint32(0)

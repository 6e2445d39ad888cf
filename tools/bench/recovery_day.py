"""A workload as a journal: its adds, cancels and reductions as commands of eight accounts."""

from dataclasses import asdict

import numpy as np

from appliance.hot import state
from appliance.layout.record import (
    CANCEL, COMMAND, DAY_START, DETAIL, ENTER, JOURNAL_RECORD,
)
from tools import workload

ACCOUNTS = 8
START_NS, STEP_NS = 34_200_000_000_000, 2_000
_LETTERS = {"tif_letter": b"0", "display": b"Y", "capacity": b"P", "sweep": b"N", "cross": b"N"}


def genesis(messages) -> dict:
    """The genesis of a partition that takes `messages`, an array of workload.RECORD."""
    entered = int(messages["order_id"].max())
    sizes = state.Sizes(
        symbols=int(messages["symbol"].max()) + 1, accounts=ACCOUNTS,
        pages=entered // 256 + 2 * ACCOUNTS + 2, lg_ladder=15, chunks=len(messages) // 400 + 256,
        feed_bytes=1 << max(20, (64 * len(messages) - 1).bit_length()),
        feed_messages=1 << max(16, (2 * len(messages) - 1).bit_length()))
    return {
        "partition": 0, "date": 20250102, "midnight_ns": 0, "feed_session": "002F000000",
        "sizes": asdict(sizes),
        "symbols": [{"name": f"S{idx}", "locate": idx + 1, "tick_size": 100, "lot_size": 1,
                     "reference_price": 1_000_000, "collar": 0} for idx in range(sizes.symbols)],
        "accounts": [{"name": f"A{idx}", "session": f"002O00{idx:03d}0", "firm": "FIRM",
                      "smp": "off", "max_pages": sizes.pages, "cancel_on_disconnect": False}
                     for idx in range(ACCOUNTS)]}


def records(messages, together) -> np.ndarray:
    """The JOURNAL_RECORDs: DAY_START, then a command a message; `together` of them of one time."""
    count = len(messages) + 1
    commands, details = np.zeros(count, COMMAND.dtype), np.zeros(count, DETAIL.dtype)
    commands[1:] = workload.to_commands(messages)
    orders = messages["order_id"].astype(np.int64)
    rest, rows = commands[1:], details[1:]
    rest["order"] = rest["target"] = 0            # a journal knows no handles
    rest["account"], rows["user_ref_num"] = orders % ACCOUNTS, orders // ACCOUNTS + 1
    for account in range(ACCOUNTS):
        mine = np.flatnonzero(rest["account"] == account)
        rows["upstream_seq"][mine] = np.arange(1, len(mine) + 1)
    enters = rest["kind"] == ENTER
    rows["side_letter"] = np.where(enters, np.where(rest["side"] == 0, ord("B"), ord("S")), 0)
    for name, letter in _LETTERS.items():
        rows[name] = np.where(enters, ord(letter), 0)
    commands[0]["kind"] = DAY_START
    assert np.isin(rest["kind"], (ENTER, CANCEL)).all()
    found = np.zeros(count, JOURNAL_RECORD.dtype)
    found["seq"] = np.arange(1, count + 1)
    found["time_ns"] = START_NS + np.arange(count) // together * STEP_NS
    found["command"] = commands.view(np.uint8).reshape(count, -1)
    found["detail"] = details.view(np.uint8).reshape(count, -1)
    return found

"""Tables as files, and a journal's commands as one: a row a command, a column a field.

What became of the commands is in `life.py`. With the genesis two columns are added: `utc`, wall
clock as the appliance knew it at the day's start, moved on by its monotonic clock (a step of the
wall clock later on is not in it), and `account_name`, "" for what is no account's.

CSV is written with what is at hand; Parquet needs the package pyarrow (extra `audit`).
"""

import csv

import numpy as np

from ..layout import record as kinds
from ..layout.record import COMMAND, DETAIL
from .show import KINDS

# The account of these says something else, or nothing.
NO_ACCOUNT = (kinds.CLOCK, kinds.DAY_START, kinds.DAY_END, kinds.MARKET_OPEN, kinds.HALT,
              kinds.BUST, kinds.IMBALANCE)

_TEXTS = ("firm", "symbol_text", "clordid")
_LETTERS = ("side_letter", "display", "capacity", "sweep", "cross", "customer", "located", "aiq",
            "tif_letter")
_LEFT_OUT = {("command", "pad"), ("command", "order"), ("command", "target")}   # 0 in a journal


def columns(records, genesis=None) -> dict:
    """{column: array} of JOURNAL_RECORDs: numbers, letters as texts, other bytes in hex."""
    found = {"seq": records["seq"], "time_ns": records["time_ns"]}
    if genesis is not None:
        found |= _named(records, genesis)
    for part, struct in (("command", COMMAND), ("detail", DETAIL)):
        rows = np.ascontiguousarray(records[part]).view(struct.dtype).reshape(-1)
        for field in struct.fields:
            if (part, field.name) not in _LEFT_OUT:
                found[field.name] = _column(field, rows[field.name])
    return found


def _named(records, genesis):
    """What the genesis adds."""
    wall = records["time_ns"].astype(np.int64) + genesis["midnight_ns"]
    commands = np.ascontiguousarray(records["command"]).view(COMMAND.dtype).reshape(-1)
    names = [account["name"] for account in genesis["accounts"]]
    return {"utc": np.array([f"{text}Z" for text in np.datetime_as_string(
                wall.view("datetime64[ns]"))], object),
            "account_name": np.array([
                names[account] if kind not in NO_ACCOUNT and account < len(names) else ""
                for kind, account in zip(commands["kind"].tolist(), commands["account"].tolist())],
                object)}


def _column(field, values):
    if field.name == "kind":
        return np.array([KINDS.get(value, str(value)) for value in values.tolist()], object)
    if field.name in _LETTERS:
        return np.array([chr(value) if value else "" for value in values.tolist()], object)
    if field.count == 1:
        return values
    rows = [bytes(value) for value in values]
    if field.name in _TEXTS:
        return np.array([row.rstrip(b"\0").decode("latin-1").rstrip() for row in rows], object)
    return np.array([row.hex() if any(row) else "" for row in rows], object)


def write_csv(path, tables) -> int:
    """Writes tables, {column: values} each, one behind the other to a CSV file; how many rows.
    None is an empty cell."""
    count, begun = 0, False
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for table in tables:
            if not begun:
                writer.writerow(table)
                begun = True
            rows = list(zip(*(_plain(values) for values in table.values()), strict=True))
            writer.writerows(rows)
            count += len(rows)
    return count


def _plain(values):
    return values.tolist() if isinstance(values, np.ndarray) else values


def write_parquet(path, tables, types=None) -> int:
    """The same as Parquet. ModuleNotFoundError without pyarrow.

    types: {column: "text", "number" or "unsigned"}, 64 bits each; None: as the values are.
    """
    import pyarrow
    import pyarrow.parquet
    known = {"text": pyarrow.string(), "number": pyarrow.int64(), "unsigned": pyarrow.uint64()}
    count, writer = 0, None
    try:
        for table in tables:
            content = pyarrow.table({name: pyarrow.array(
                values, type=known[types[name]] if types else None)
                for name, values in table.items()})
            if writer is None:
                writer = pyarrow.parquet.ParquetWriter(path, content.schema)
            writer.write_table(content)
            count += content.num_rows
    finally:
        if writer is not None:
            writer.close()
    return count

"""A journal as text: what a scan found, and its records one a line."""

import json
from datetime import UTC, datetime

import numpy as np

from ..layout import journal as lay
from ..layout import record
from ..layout.record import COMMAND, DETAIL

_KINDS = ("ENTER CANCEL REPLACE MODIFY MASS_CANCEL DISABLE ENABLE QUERY REJECT IGNORE LOGIN LOGOUT "
          "DISCONNECT SKIP FILLER CLOCK DAY_START DAY_END MARKET_OPEN HALT BUST IMBALANCE LIMIT "
          "KILL MODE GRACE_OVER").split()
KINDS = {getattr(record, name): name.lower().replace("_", " ") for name in _KINDS}
_TEXTS = ("symbol_text", "clordid", "firm")


def as_dict(found) -> dict:
    """Everything of a Found that JSON can hold."""
    content = {name: value for name, value in vars(found).items() if name != "segments"}
    content["genesis_digest"] = found.genesis_digest.hex()
    content["level"] = lay.LEVELS.get(found.level, str(found.level))
    content["segments"] = [vars(segment) for segment in found.segments]
    return content


def text(found) -> str:
    """What a scan found, for people."""
    rows = [("partition", f"{found.partition}, day {found.date}, instance {found.instance}, level "
                          f"{lay.LEVELS.get(found.level, found.level)}, epoch {found.epoch}"),
            ("records", f"{found.last_seq - found.first_seq + 1:,}, sequence {found.first_seq} to "
                        f"{found.last_seq}, in {found.blocks:,} blocks"),
            ("last record", f"{_clock(found.last_time_ns)} of the day, written "
                            f"{_wall(found.last_wall_ns)}" if found.last_wall_ns else "none"),
            ("watermark", f"sequence {found.durable_seq}" + ("" if found.clean else
                          ", the writer was not closed")),
            ("hashes", f"{found.checks}" + (f", the last behind sequence {found.check[0]}: state "
             f"{found.check[1]:016x}, outputs {found.check[2]:016x}" if found.checks else "")),
            ("boot", "another one than this" if found.boot_changed else "this one"),
            ("tail", found.cut_why or "whole")]
    rows += [(f"segment {row.number}", f"sequence {row.first_seq} to {row.last_seq}, {row.end:,} "
              f"bytes, instance {row.instance}") for row in found.segments]
    return "\n".join(f"{name:<14}{value}" for name, value in rows)


def replayed(checked) -> str:
    """What `confirm` found, as a line more; "" when nothing was replayed."""
    if not checked:
        return ""
    words = (f"{checked['checks']} recorded hashes and {checked['snapshots']} snapshots as they "
             f"were, up to sequence {checked['seq']}")
    if checked["wrong"]:
        words = f"{words}; {len(checked['wrong'])} are not"
    return f"\n{'replay':<14}{words}"


def lines(records, as_json=False):
    """A line a record."""
    commands = np.ascontiguousarray(records["command"]).view(COMMAND.dtype).ravel()
    details = np.ascontiguousarray(records["detail"]).view(DETAIL.dtype).ravel()
    for row, command, detail in zip(records, commands, details, strict=True):
        fields = {**_fields(COMMAND, command), **_fields(DETAIL, detail)}
        fields["kind"] = KINDS.get(fields["kind"], str(fields["kind"]))
        if as_json:
            yield json.dumps({"seq": int(row["seq"]), "time_ns": int(row["time_ns"]), **fields})
            continue
        shown = " ".join(f"{name}={value}" for name, value in fields.items()
                         if value and name not in ("kind", "pad"))
        yield f"{row['seq']} {_clock(int(row['time_ns']))} {fields['kind']} {shown}".rstrip()


def _fields(struct, row):
    """{name: plain value} of a record; texts as such where they are, else in hex."""
    found = {}
    for field in struct.fields:
        value = row[field.name]
        if field.count == 1:
            found[field.name] = int(value)
        elif field.name in _TEXTS and all(32 <= byte < 127 for byte in bytes(value).rstrip(b"\0")):
            found[field.name] = bytes(value).rstrip(b"\0").decode("ascii").rstrip()
        elif field.name != "pad":
            found[field.name] = bytes(value).hex() if value.any() else ""
    return found


def _clock(time_ns):
    """Nanoseconds since midnight as a time of day."""
    seconds, ns = divmod(time_ns, 10**9)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ns:09}"


def _wall(wall_ns):
    """Wall clock nanoseconds as UTC."""
    return datetime.fromtimestamp(wall_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

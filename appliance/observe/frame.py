"""One frame of `wirematch top` from a snapshot: plain lines, or with ANSI colours.

    lines = frame(content, width=80, height=24, colours=True)

What does not fit the width is cut, what does not fit the height is left out from the end, and the
last line says so. Problems come before everything else.
"""

import time

RED, GREEN, YELLOW, BOLD, DIM, PLAIN = (f"\x1b[{n}m" for n in (31, 32, 33, 1, 2, 0))
UNITS = ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k"))
FULL = 0.8                     # a ring that is fuller is shown in red
ERRORS_MAX = 8


def short(number) -> str:
    """A number in at most six characters: 8123, 81.2k, 1.25M."""
    if number is None:
        return "-"
    for least, unit in UNITS:
        if number >= least:
            value = number / (1000 if unit == "k" else least)
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}{unit}"
    return f"{number:.0f}"


def span(ns) -> str:
    """A time in at most six characters: 850n, 12.3u, 4.5m, 1.2s."""
    if ns is None:
        return "-"
    for least, unit in ((1e9, "s"), (1e6, "m"), (1e3, "u")):
        if ns >= least:
            value = ns / least
            return f"{value:.{1 if value < 100 else 0}f}{unit}"
    return f"{ns:.0f}n"


class _Page:
    """Lines of (text, colour)."""

    def __init__(self, width, colours):
        self.width, self.colours, self.lines = width, colours, []

    def put(self, text, colour=""):
        text = text[:self.width].rstrip()
        self.lines.append(f"{colour}{text}{PLAIN}" if colour and self.colours else text)


def frame(content: dict, width: int = 80, height: int = 24, colours: bool = False) -> list[str]:
    """The lines, at most `height` of them."""
    page = _Page(width, colours)
    clock = time.strftime("%H:%M:%S UTC", time.gmtime(content["at_s"]))
    for text in content["problems"]:
        page.put(text, RED)
    if "name" not in content:
        page.put(clock, DIM)
        return page.lines[:height]
    _head(page, content, clock)
    _partitions(page, content["partitions"])
    _rings(page, content["partitions"])
    _errors(page, content)
    _processes(page, content["processes"])
    if len(page.lines) > height:
        left = len(page.lines) - height + 1
        page.lines[height - 1:] = [f"... {left} lines more: a higher window shows them"[:width]]
    return page.lines


def _head(page, content, clock):
    state = "READY" if content["ready"] else "NOT READY"
    page.put(f"{content['name']}: {content['state']}, {state}   {content['interface']} "
             f"{content['ip']} {content['port']['rung']}"
             f"{'' if content['port']['link'] else ' LINK DOWN'}   market "
             f"{content['market']['phase']}   {clock}", BOLD + (GREEN if content["ready"] else RED))
    for text in content["reasons"]:
        page.put(f"  {text}", RED)


def _partitions(page, rows):
    page.put("")
    page.put(" P state    mode      level   ord/s  trd/s  rej/s   p50   p99 p99.9 live sess", DIM)
    for row in rows:
        rates = row["rates"] or dict.fromkeys(("orders", "trades", "rejects"))
        now = row["latency_now"] if row["latency_now"] and row["latency_now"]["count"] \
            else row["latency"] or {}
        times = " ".join(f"{span(now.get(key)):>5}" for key in ("p50_ns", "p99_ns", "p999_ns"))
        page.put(f"{row['partition']:>2} {row['state']:<8} {row['rung']:<9} {row['level']:<7}"
                 f"{short(rates['orders']):>6} {short(rates['trades']):>6} "
                 f"{short(rates['rejects']):>6} {times} {short(row['live_orders']):>4} "
                 f"{row['live_sessions']:>4}", "" if row["ready"] else RED)


def _rings(page, rows):
    page.put("")
    page.put(" P journal   feed  pages chunks  holds  gate lag  disk lag  sync    gaps  beat", DIM)
    for row in rows:
        parts = [row["rings"].get(name) for name in ("journal", "feed", "pages", "chunks",
                                                     "holds")]
        shares = [ring["used"] / ring["size"] if ring else None for ring in parts]
        texts = " ".join(f"{'-' if share is None else f'{share:.0%}':>6}" for share in shares)
        gate, journal = row["gate"] or {}, row["journal"] or {}
        beat = row["heartbeat_age_s"]
        sync = journal.get("sync_s")
        page.put(f"{row['partition']:>2}  {texts} {short(gate.get('lag_commands')):>9} "
                 f"{short(journal.get('lag_durable')):>9} "
                 f"{span(None if sync is None else sync * 1e9):>5} {row['open_gaps']:>7} "
                 f"{span(None if beat is None else beat * 1e9):>5}",
                 RED if any((share or 0) > FULL for share in shares) else "")


def _errors(page, content):
    from .errors import rows
    found = rows(content)
    page.put("")
    page.put(" errors: none" if not found else
             f" errors: {len(found)}, newest first (wirematch errors has them all)", DIM)
    found.sort(key=lambda row: row["last"], reverse=True)
    for row in found[:ERRORS_MAX]:
        where = f" ({row['where']})" if row["where"] else ""
        page.put(f"{short(row['count']):>6}x {row['last'][11:19]} {row['name']}{where}: "
                 f"{row['text']}", RED if row["kind"] == "alarm" else YELLOW)


def _processes(page, rows):
    page.put("")
    page.put(" process          pid   CPU  used s  MiB  state", DIM)
    for row in rows:
        share = row.get("cpu_share")
        page.put(f" {row['name']:<12} {row['pid']:>7} {'-' if share is None else f'{share:.0%}':>5}"
                 f" {row['cpu_s']:>7.1f} {row['memory_bytes'] >> 20:>4}  {row['state']}")

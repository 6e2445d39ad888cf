"""`wirematch flow SOURCE`: makes an order pcap, and beside it the TOML that goes with it.

The pcap is complete in itself: every account's login on every partition, then each session's orders
numbered from 1. The TOML holds the symbols and accounts as the configuration's files hold them, and
[flow]: what was made, and each session.
"""

import ipaddress
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from appliance.layout.codes import PRICE_MAX

from .flows import bitstamp, cme, encode, mixed, synthetic, workload
from .flows import commands as c
from .pcap import Writer

DESTINATION = "10.77.0.1:26400"        # the configuration's default order port
SOURCES = "10.77.0.2:42001"
DESTINATION_MAC, SOURCE_MAC = "02:00:0a:4d:00:01", "02:00:0a:4d:00:02"
SOURCES_OF_FLOW = ("bitstamp", "cme", "workload", "synthetic", "mix")
ACCOUNTS_MAX, PARTITIONS_MAX = 1000, 32


@dataclass
class Made:
    """What `make` made: the two (or three) files' paths, the flow's facts, and who takes part."""

    pcap: Path
    toml: Path
    fills: Path | None
    facts: dict
    accounts: list
    sessions: list
    symbols: list
    flow: c.Flow = field(repr=False)


def endpoint(text: str) -> tuple:
    """(ip, port) of "IP:PORT". Raises SourceError."""
    try:
        ip, port = text.rsplit(":", 1)
        if not 1 <= int(port) <= 65535:
            raise ValueError
        return str(ipaddress.IPv4Address(ip)), int(port)
    except ValueError:
        raise c.SourceError(f"{text!r} is not an IPv4 address and port such as "
                            f"{DESTINATION}") from None


def mac(text: str) -> bytes:
    """Six bytes of "02:00:00:00:00:01". Raises SourceError."""
    try:
        result = bytes.fromhex(text.replace(":", ""))
        if len(result) != 6 or text.count(":") != 5:
            raise ValueError
        return result
    except ValueError:
        raise c.SourceError(f"{text!r} is not a MAC such as {DESTINATION_MAC}") from None


def source_endpoints(text: str, accounts: int) -> list:
    """One (ip, port) per account: those listed, then the last one's next ports."""
    listed = [endpoint(part.strip()) for part in text.split(",")][:accounts]
    ip, port = listed[-1]
    listed += [(ip, port + 1 + more) for more in range(accounts - len(listed))]
    if listed[-1][1] > 65535 or len(set(listed)) < len(listed):
        raise c.SourceError(f"sources {text!r} do not give {accounts} different ports: list one "
                            "IP:PORT for each account, or begin with a lower port")
    return listed


def source_flow(source, accounts, seed, limit=None, data=None, symbols=None, tick=None) -> c.Flow:
    """The Flow of a source by name. Raises SourceError."""
    if symbols is not None and source not in ("synthetic", "workload", "mix"):
        raise c.SourceError(f"--symbols is for synthetic, workload and mix; {source} has one "
                            "symbol")
    if source == "bitstamp":
        flow = bitstamp.load(accounts, seed, limit, data)
    elif source == "cme":
        flow = cme.load(accounts, seed, data, limit)
    elif source == "workload":
        flow = workload.load(accounts, seed, data, limit, symbols)
    elif source == "synthetic":
        flow = synthetic.load(accounts, seed, limit, symbols)
    elif source == "mix":
        flow = mixed.load(accounts, seed, limit, data, symbols)
    else:
        raise c.SourceError(f"no source {source!r}; there are {', '.join(SOURCES_OF_FLOW)}")
    if tick is not None:
        for symbol in flow.symbols:
            symbol["tick_size"] = tick
            symbol["reference_price"] = max(tick, symbol["reference_price"] // tick * tick)
    if not len(flow.commands):
        raise c.SourceError(f"{source}: no commands come of the data")
    return flow


def _refuse(source, out, accounts, pack, partitions, tick):
    """Raises SourceError when this cannot be made."""
    if tick is not None and not 1 <= tick <= PRICE_MAX:
        raise c.SourceError(f"--tick {tick} leaves no price to trade at: give 1 to {PRICE_MAX}, in "
                            "units of 0.0001 (the highest limit price)")
    if not 1 <= partitions <= PARTITIONS_MAX:
        raise c.SourceError(f"{partitions} partitions: 1 to {PARTITIONS_MAX} are possible")
    if not 1 <= accounts <= ACCOUNTS_MAX:
        raise c.SourceError(f"{accounts} accounts: 1 to {ACCOUNTS_MAX} are possible")
    if not 1 <= pack <= encode.PACK_MAX:
        raise c.SourceError(f"{pack} orders a datagram: 1 to {encode.PACK_MAX} fit")
    if source == "cme" and pack > 1 and accounts > 1:
        raise c.SourceError("the cme flow needs the order between accounts, which --pack does not "
                            "keep: use --pack 1 or --accounts 1")
    if out.suffix == ".toml":
        raise c.SourceError(f"--out {out} is the name of the file beside it; give FILE.pcap")


def make(source, out, *, accounts=8, pack=1, limit=None, seed=1, data=None, symbols=None,
         destination=DESTINATION, sources=SOURCES, destination_mac=DESTINATION_MAC,
         source_mac=SOURCE_MAC, tick=None, partitions=None) -> Made:
    """Makes FILE.pcap and FILE.toml (and FILE.fills.csv for cme). Raises SourceError, OSError.

    partitions: 1, for mix 2, when not given. A file for one partition does not speak of partitions.
    """
    out, partitions = Path(out), partitions or (2 if source == "mix" else 1)
    _refuse(source, out, accounts, pack, partitions, tick)
    link = encode.Link(endpoint(destination), mac(destination_mac), mac(source_mac))
    if link.destination[1] + partitions - 1 > 65535:
        raise c.SourceError(f"--destination {destination} leaves no ports for {partitions} "
                            "partitions: begin with a lower one")
    flow = source_flow(source, accounts, seed, limit, data, symbols, tick)
    pairs = c.assign(flow, accounts, partitions)
    c.number(flow.commands)
    ends = source_endpoints(sources, accounts)
    people = encode.accounts_of(accounts, seed, ends, flow.smp)
    sessions = encode.sessions_of(pairs, people, seed, ends)
    with Writer(out) as writer:
        datagrams = encode.write_flow(writer, flow.commands, sessions, flow.symbols, link, pack)
    facts = _facts(source, flow, accounts, pack, seed, datagrams, link, destination_mac, source_mac)
    facts |= {"logins": len(sessions)} | ({"partitions": partitions} if partitions > 1 else {})
    toml = out.with_suffix(".toml")
    toml.write_text(_toml(facts, flow.symbols, people, sessions))
    fills = None
    if flow.fills is not None:
        fills = out.with_suffix(".fills.csv")
        _write_fills(fills, flow)
    return Made(out, toml, fills, facts, people, sessions, flow.symbols, flow)


def _facts(source, flow, accounts, pack, seed, datagrams, link, destination_mac, source_mac):
    """What [flow] says."""
    commands, kinds = flow.commands, flow.commands["kind"]
    return {
        "source": source, "data": flow.data, "seed": seed, "accounts": accounts, "pack": pack,
        "order_between_accounts_kept": pack == 1 or accounts == 1,
        "datagrams": datagrams, "logins": accounts, "messages": len(commands),
        "enters": int((kinds == c.ENTER).sum()), "replaces": int((kinds == c.REPLACE).sum()),
        "cancels": int((kinds == c.CANCEL).sum()),
        "duration_ns": int(commands["time_ns"][-1] - commands["time_ns"][0]),
        "destination": "{}:{}".format(*link.destination), "destination_mac": destination_mac,
        "source_mac": source_mac, **flow.notes,
    }


def _table(values) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def _toml(facts, symbols, people, sessions) -> str:
    """The text of FILE.toml; prices in units of 0.0001."""
    parts = ["# Made by wirematch flow. Prices and ticks are in units of 0.0001.\n"]
    parts += ["\n[[symbols]]\n" + _table(symbol) for symbol in symbols]
    for person in people:
        parts.append("\n[[accounts]]\n" + _table({
            "name": person.name, "password": person.password, "firm": person.firm,
            "sources": [person.ip], "smp": person.smp, "cancel_on_disconnect": False}))
    parts.append("\n[flow]\n" + _table(facts))
    for session in sessions:
        place = {"partition": session.partition} if "partitions" in facts else {}
        parts.append("\n[[flow.sessions]]\n" + _table({
            "account": session.account.name, **place, "token": session.token,
            "ip": session.source[0], "port": session.source[1]}))
    return "".join(parts)


def _write_fills(path, flow):
    """The real hits of every trade: accounts by index, orders by UserRefNum, 0 where there is none.

    `whole` is 0 where the incoming order was sent shortened or not at all: such a trade counts as
    not reproduced. A trade that hit nothing has one row, with resting_ref and quantity 0."""
    commands = flow.commands
    with open(path, "w") as file:
        file.write("trade,whole,aggressor_account,aggressor_ref,resting_account,resting_ref,"
                   "price,quantity\n")
        for fill in flow.fills:
            ends = []
            for index in (fill["aggressor"], fill["resting"]):
                known = commands[index] if index >= 0 else {"account": 0, "user_ref": 0}
                ends += [known["account"], known["user_ref"]]
            file.write(",".join(str(int(value)) for value in (
                fill["trade"], fill["whole"], *ends, fill["price"], fill["qty"])) + "\n")


@click.command("flow", short_help="Make an order pcap of real or synthetic flow.")
@click.argument("source", type=click.Choice(SOURCES_OF_FLOW))
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="FILE.pcap to make.")
@click.option("--data", type=click.Path(exists=True, dir_okay=False),
              help="The source's data file (cme, workload; bitstamp finds its own).")
@click.option("--partitions", type=click.IntRange(1, PARTITIONS_MAX),
              help="Partitions that share the symbols by hash (1; mix: 2).")
@click.option("--accounts", default=8, show_default=True, help="Participants.")
@click.option("--pack", default=1, show_default=True, help="Orders in a datagram.")
@click.option("--limit", type=click.IntRange(1), help="Commands at most (synthetic: 100,000; mix: "
              "half of them real; all of Bitstamp and 200,000).")
@click.option("--symbols", type=click.IntRange(1, 100),
              help="Symbols (synthetic: 4; mix: 100; workload).")
@click.option("--seed", default=1, show_default=True, help="Decides accounts, tokens, synthetics.")
@click.option("--tick", type=click.IntRange(1), help="Tick size of the symbols, in 0.0001.")
@click.option("--destination", default=DESTINATION, show_default=True, help="Order port.")
@click.option("--sources", default=SOURCES, show_default=True,
              help="IP:PORT of the accounts, with commas; the last is counted on.")
@click.option("--destination-mac", default=DESTINATION_MAC, show_default=True)
@click.option("--source-mac", default=SOURCE_MAC, show_default=True)
def command(source, out, **options):
    """Make an order pcap: every login, then each session's orders numbered from 1.

    SOURCE mix is Bitstamp's half hour on partition 0 and a synthetic flow over 100 symbols on all
    partitions, interleaved in time.
    """
    begin = time.monotonic()
    try:
        made = make(source, out, **options)
    except (c.SourceError, OSError) as trouble:
        raise click.ClickException(str(trouble)) from trouble
    facts = made.facts
    click.echo(f"{made.pcap}: {facts['datagrams']:,} datagrams, {facts['messages']:,} messages "
               f"({facts['enters']:,} enter, {facts['replaces']:,} replace, {facts['cancels']:,} "
               f"cancel), {facts['accounts']} accounts, {time.monotonic() - begin:.1f} s"
               + (f", {facts['partitions']} partitions" if "partitions" in facts else ""))
    click.echo(f"{made.toml}: {len(made.symbols)} symbols, {len(made.accounts)} accounts")
    if made.fills:
        click.echo(f"{made.fills}: {len(np.unique(made.flow.fills['trade'])):,} trades to compare")

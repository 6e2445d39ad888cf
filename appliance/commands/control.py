"""`wirematch control VERB`: orders to a running appliance, each a command in its journal.

The answer names the command at which an order took effect, and comes when that is journalled. Every
order may be given twice. Exit codes: 0 done, 1 refused or not confirmed, 2 wrong use, 4 no
appliance answers.
"""

import json
import socket
import sys

import click

PATIENCE_S = 15.0
NOT_READY = 4
_MODES = ("normal", "throttled", "cancel-only", "halted")


@click.group()
@click.option("--config", "path", metavar="FILE", help="Its runtime_dir is used.")
@click.option("--runtime-dir", metavar="DIR", help="Use this one instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
@click.pass_context
def command(context, path, runtime_dir, as_json):
    """Give orders to a running appliance; each becomes a command in its journal.

    Root, the user who runs it, and the users and groups of [control] may. An order stands until it
    is taken back; `wirematch control list` shows what stands.
    """
    context.obj = {"path": path, "runtime_dir": runtime_dir, "json": as_json}


def _folder(options):
    if options["runtime_dir"] or not options["path"]:
        return options["runtime_dir"] or "/dev/shm/wirematch"
    from ..config.load import load
    from ..config.mistakes import ConfigError
    try:
        return load(options["path"]).runtime_dir
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def ask(path: str, request: dict) -> dict:
    """The answer to a request over the socket `path`. OSError, ValueError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(path)
        sock.sendall(json.dumps(request).encode() + b"\n")
        taken = b""
        while not taken.endswith(b"\n"):
            piece = sock.recv(1 << 16)
            if not piece:
                raise ConnectionError("it closed the connection")
            taken += piece
    return json.loads(taken)


def _do(context, **request):
    """Asks, prints what came, ends with the exit code."""
    path = f"{_folder(context.obj)}/control.sock"
    try:
        reply = ask(path, request)
    except (OSError, ValueError) as error:
        click.echo(f"{path}: no answer: {error}; is the appliance running, and is it this "
                   "runtime_dir (--config FILE or --runtime-dir DIR)?", err=True)
        sys.exit(NOT_READY)
    if context.obj["json"]:
        click.echo(json.dumps(reply))
    elif "error" in reply:
        click.echo(reply["error"], err=True)
    else:
        for row in reply.get("results", ()):
            click.echo(row["text"])
        for part in reply.get("partitions", ()):
            click.echo(_standing(part))
    sys.exit(0 if reply["ok"] else 1)


def _standing(part):
    lines = [f"partition {part['partition']}: {part['phase']}, mode {part['mode']}"]
    lines += [f"  killed: {row['scope']} {row['name']}".rstrip() for row in part["killed"]]
    lines += [f"  {row['symbol']} {row['state']}{' ' + row['reason'] if row['reason'] else ''}"
              f"{' (by the mode)' if row['by_mode'] else ''}" for row in part["halted"]]
    for row in part["limits"]:
        place = " in ".join(filter(None, (row.pop("account") or "everybody", row.pop("symbol"))))
        lines += [f"  limit: {place} {rule}={value}" for rule, value in row.items()]
    return "\n".join(lines)


@command.command()
@click.argument("symbol")
@click.option("--reason", default="O1", help="Of ITCH's trading action, such as T1, LUDP.")
@click.option("--pause", "state", flag_value="P", help="Pause instead of a halt.")
@click.option("--quote", "state", flag_value="Q", help="Quotation: orders for the halt cross.")
@click.option("--halt", "state", flag_value="H", default=True, hidden=True)
@click.pass_context
def halt(context, symbol, reason, state):
    """Halt a symbol; --pause pauses it, --quote begins quotation for a halt cross."""
    _do(context, verb="halt", symbol=symbol, reason=reason,
        state=state if state in ("P", "Q") else "H")


@command.command()
@click.argument("symbol")
@click.option("--reason", default="R4", help="Of ITCH's trading action.")
@click.pass_context
def resume(context, symbol, reason):
    """Let a symbol trade again; from quotation by its halt cross."""
    _do(context, verb="resume", symbol=symbol, reason=reason)


def _scoped(verb, text):
    @click.argument("scope", type=click.Choice(["account", "symbol", "venue"]))
    @click.argument("name", required=False)
    @click.pass_context
    def run(context, scope, name):
        if (name is None) != (scope == "venue"):
            raise click.UsageError("name the account or symbol; the venue has no name")
        _do(context, verb=verb, scope=scope, **({"name": name} if name else {}))

    run.__doc__ = text
    command.command(verb)(run)


_scoped("kill", "Cancel all orders of an account, a symbol or the venue, and take no new ones.")
_scoped("lift", "Take a kill switch back: orders are taken again.")


@command.command()
@click.argument("account")
@click.argument("words", nargs=-1, required=True, metavar="[SYMBOL] KEY=VALUE...")
@click.pass_context
def limit(context, account, words):
    """Set risk limits of ACCOUNT, in SYMBOL if one is named; ACCOUNT "-": of everybody in SYMBOL.

    Keys: max_quantity, max_notional (units of 0.0001), max_open_orders, max_position (shares),
    price_band (basis points), duplicates, duplicate_window_ms, restricted (1 or 0). 0 is none.
    """
    symbol = None if "=" in words[0] else words[0]
    values = {}
    for word in words[symbol is not None:]:
        key, equals, value = word.partition("=")
        if not equals or not value.isdecimal():
            raise click.UsageError(f"{word}: write key=value with a whole number")
        values[key] = int(value)
    request = {"account": None if account == "-" else account, "symbol": symbol}
    _do(context, verb="limit", values=values,
        **{key: value for key, value in request.items() if value is not None})


@command.command()
@click.argument("match", type=int)
@click.option("--reason", type=click.Choice(["E", "C", "S", "X"]), default="E",
              help="Erroneous, consent, supervisory, external.")
@click.pass_context
def bust(context, match, reason):
    """Break the trade of a match number."""
    _do(context, verb="bust", match=match, reason=reason)


@command.command("open")
@click.pass_context
def open_market(context):
    """Open the market now, by the opening crosses."""
    _do(context, verb="open")


@command.command("close")
@click.pass_context
def close_market(context):
    """End the day now, by the closing crosses; every order leaves."""
    _do(context, verb="close")


@command.command()
@click.argument("mode", type=click.Choice(_MODES))
@click.pass_context
def mode(context, mode):
    """Restrain trading, or let it go on: normal, throttled, cancel-only, halted."""
    _do(context, verb="mode", mode=mode)


@command.command()
@click.argument("account")
@click.pass_context
def disconnect(context, account):
    """End an account's session, as if it had fallen silent."""
    _do(context, verb="disconnect", account=account)


@command.command("list")
@click.pass_context
def list_standing(context):
    """Show what stands: kill switches, halts, modes, limits."""
    _do(context, verb="list")

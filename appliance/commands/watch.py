"""`wirematch watch SYMBOL`: the command line of client/watch.py, which loads what it needs late."""

import os
import sys
from pathlib import Path

import click


@click.command()
@click.option("--channel", "path", metavar="FILE", help="Channel file that the appliance wrote.")
@click.option("--runtime-dir", default="/dev/shm/wirematch", metavar="DIR",
              help="Take channel.json from there; default /dev/shm/wirematch.")
@click.option("--ip", default="", metavar="ADDRESS",
              help="Address of the interface that the feed reaches; default: the one by which this "
                   "machine reaches the appliance.")
@click.option("--account", default="", metavar="NAME",
              help="Begin with a snapshot, which this account may have; the password is asked for, "
                   "or taken from WIREMATCH_PASSWORD. Without it the day is asked for again.")
@click.option("--levels", default=8, type=click.IntRange(1, 100), help="Levels a side; default 8.")
@click.option("--once", is_flag=True, help="Print once, when the book is complete.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON objects instead of a picture.")
@click.option("--timeout", default=5.0, type=click.FloatRange(0.1, 3600), metavar="S",
              help="With --once: wait so long for a complete book; default 5.")
@click.argument("symbol")
def command(path, runtime_dir, ip, account, levels, once, as_json, timeout, symbol):
    """Watch SYMBOL's book and trades as the feed shows them; Ctrl-C ends it.

    Prices are in currency, quantities in shares. Exit code 4: the book was not complete in time.
    """
    from ..client import watch
    from ..client.book import FeedError
    from ..client.channel import ChannelError
    login = ()
    if account:
        login = account, os.environ.get("WIREMATCH_PASSWORD") or click.prompt("Password",
                                                                              hide_input=True)
    try:
        sys.exit(watch.watch(symbol, path or Path(runtime_dir) / "channel.json", ip, login, levels,
                             once, as_json, timeout))
    except (ChannelError, FeedError, OSError) as error:
        raise click.ClickException(f"watching {symbol}: {error}") from error
    except KeyboardInterrupt:
        sys.exit(0)

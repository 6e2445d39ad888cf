"""`wirematch ready`: /readyz as an exit code, for scripts."""

import sys
import time

import click

from . import place

PAUSE_S = 0.1


@click.command()
@place.options
@click.option("--timeout", default=0.0, type=click.FloatRange(0, 86400), metavar="S",
              help="Wait so many seconds for it; default: look once.")
def command(folder, timeout):
    """Exit 0 when every partition has recovered and trades, 4 when not."""
    from .reading import Reader
    reader, deadline = Reader(folder), time.monotonic() + timeout
    while True:
        content = reader.look().content
        if content["ready"]:
            click.echo(f"{content['name']}: ready")
            return
        if time.monotonic() >= deadline:
            break
        time.sleep(min(PAUSE_S, max(0.0, deadline - time.monotonic())))
    for text in content["reasons"]:
        click.echo(text, err=True)
    sys.exit(place.NOT_READY)

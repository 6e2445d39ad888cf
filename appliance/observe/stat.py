"""`wirematch stat`: every number by its name, once or again and again, for people and scripts."""

import fnmatch
import json
import time

import click

from . import place


@click.command()
@place.options
@click.option("--json", "as_json", is_flag=True,
              help='Print one JSON object a look: {"name{label=\\"value\\"}": number}.')
@click.option("--once", is_flag=True, help="Print one look and end (as does --json alone).")
@click.option("--every", type=click.FloatRange(0.1, 3600), metavar="S",
              help="Look every S seconds until Ctrl-C; default 1, once when it is piped.")
@click.option("--list", "only_list", is_flag=True,
              help="Print every number's name, kind and meaning; needs no appliance.")
@click.argument("pattern", default="")
def command(folder, as_json, once, every, only_list, pattern):
    """Print numbers whose names hold PATTERN (* and ? match anything).

    Units are in the names: _seconds, _bytes, _ratio (0 to 1), _total counts since the partition's
    instance began. They are those of /metrics.
    """
    from .series import DECLARED
    wanted = _wanted(pattern)
    if only_list:
        for name, (kind, text) in DECLARED.items():
            if wanted(name):
                click.echo(f"{name:<46} {kind:<9} {text}")
        return
    from .reading import Reader
    reader = Reader(folder)
    reader.look()
    time.sleep(0.0 if once or as_json else 0.3)        # rates and quantiles are between two looks
    while True:
        snapshot = reader.look()
        place.need(snapshot.content)
        rows = {key: value for key, value in _rows(snapshot) if wanted(key)}
        if not rows:
            raise click.ClickException(f"no number's name holds {pattern!r}; see: wirematch stat "
                                       "--list")
        click.echo(json.dumps(rows) if as_json else
                   "\n".join(f"{key:<76} {value:>16,}" for key, value in rows.items()))
        if once or (every is None and (as_json or not click.get_text_stream("stdout").isatty())):
            return
        if not as_json:
            click.echo("")
        time.sleep(every or 1.0)


def _wanted(pattern):
    """Whether a name with labels holds the pattern."""
    bare = pattern if any(each in pattern for each in "*?") else f"*{pattern}*"
    return lambda name: fnmatch.fnmatchcase(name, bare)


def _rows(snapshot):
    """(name with labels, number) of every sample; of a histogram its count."""
    from .series import HISTOGRAM, families
    for family in families(snapshot):
        for labels, value in family.samples:
            text = ",".join(f'{key}="{each}"' for key, each in labels.items())
            name = family.name
            if family.kind == HISTOGRAM:
                name, value = f"{name}_count", int(value.sum())
            yield f"{name}{{{text}}}" if text else name, value

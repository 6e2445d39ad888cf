"""`wirematch journal verify | dump DIR`: what a journal's folder holds; nothing is changed.

verify prints what `scan` finds, and exits 1 on corruption or a damaged watermark, not on a torn
tail: that is what a crash leaves, and the next start cuts it. Where shadow@p has left hashes or
snapshots, the journal is replayed and each of them compared; the first that differs is exit 1 too.
dump prints records, one a line, and stops at the last good one. DIR is one partition's day.
"""

import sys

import click

FAILURE = 1


@click.group()
def command():
    """Look at a partition's journal; change nothing."""


def guarded(function):
    """Calls function(); a JournalError becomes one line on stderr and exit code 1."""
    from .errors import JournalError
    try:
        return function()
    except JournalError as error:
        click.echo(str(error), err=True)
        sys.exit(FAILURE)


@command.command()
@click.argument("directory", metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--replay/--no-replay", "replays", default=True, show_default=True,
              help="Compare the recorded hashes and the snapshots with a replay.")
def verify(directory, as_json, replays):
    """Check every byte: checksums, chain, sequences, watermark, hashes of closed segments; and by a
    replay the hashes and snapshots that were recorded on the way."""
    import json

    from . import show
    from .scan import scan
    found = guarded(lambda: scan(directory, hashes=True))
    if found is None:
        raise click.ClickException(f"{directory} holds no journal: name the folder of one "
                                   "partition's day, <journal.directory>/<YYYYMMDD>/p<idx>")
    checked = guarded(lambda: _replayed(found)) if replays else None
    content = show.as_dict(found) | ({"replay": checked} if checked else {})
    click.echo(json.dumps(content) if as_json else show.text(found) + show.replayed(checked))
    for wrong in (found.damaged, *(checked["wrong"] if checked else ())):
        if wrong:
            click.echo(wrong, err=True)
    if found.damaged or checked and checked["wrong"]:
        sys.exit(FAILURE)


def _replayed(found):
    """What comparing the recorded hashes with a replay gave; None when there are none."""
    from . import checks, snapshot_file
    rows = checks.read(found.directory, found.genesis)
    if not len(rows) and not snapshot_file.found(found.directory):
        return None
    from ..shm.cache import use_cache
    use_cache()
    from .confirm import confirm
    return confirm(found, rows)


@command.command()
@click.argument("directory", metavar="DIR")
@click.option("--from", "first_seq", type=click.IntRange(1), default=1, show_default=True,
              help="First sequence.")
@click.option("--count", type=click.IntRange(0), help="So many records.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a record, every field.")
def dump(directory, first_seq, count, as_json):
    """Print records, one a line."""
    from . import show
    from .scan import read

    def run():
        left = count
        for records in read(directory, first_seq):
            if left is not None:
                records = records[:left]
                left -= len(records)
            for line in show.lines(records, as_json):
                click.echo(line)
            if left == 0:
                break

    guarded(run)

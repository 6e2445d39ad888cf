"""`wirematch journal replay | diff | export | streams`: a journal played, compared, made a table.

replay makes the core anew from the genesis and prints the last sequence, the hash of its state and
the checksum of all it has said, which depend on the journal alone: not on the burst size, the
compiler or the machine. It exits 1 when the journal itself recorded another hash. diff exits 1 when
two journals part.
"""

import os
import sys

import click

from .command import FAILURE, command, guarded

CANNOT_RUN = 77


@command.command()
@click.argument("directory", metavar="DIR")
@click.option("--burst", type=click.IntRange(1), default=4000, show_default=True,
              help="Records handed over at once; what is printed does not depend on it.")
@click.option("--to", "last_seq", type=click.IntRange(1), help="Last sequence.  [default: all]")
@click.option("--no-jit", is_flag=True, help="Without the compiler: slow, and the same.")
@click.option("--snapshot", "write", is_flag=True, help="Keep the state in DIR as a snapshot.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay(directory, burst, last_seq, no_jit, write, as_json):
    """Play a journal from its beginning: last sequence, state hash, outputs' checksum."""
    import json
    if no_jit:
        os.environ["NUMBA_DISABLE_JIT"] = "1"
    else:
        from ..shm.cache import use_cache
        use_cache()
    from .play import Differs, play
    from .recover import NoJournal
    from .replay import ReplayError
    try:
        found = guarded(lambda: play(directory, burst, last_seq, write))
    except (NoJournal, ReplayError, Differs, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(FAILURE)
    click.echo(json.dumps(found) if as_json else
               f"sequence {found['seq']}  state {found['state_hash']}  outputs {found['outputs']}"
               f"  ({found['seconds']:.2f} s" + (", as the journal says at sequence "
               f"{found['checked_seq']})" if found["checked_seq"] else ")"))


@command.command()
@click.argument("one", metavar="DIR")
@click.argument("other", metavar="DIR")
def diff(one, other):
    """Say where two journals part first; exit 1 when they do."""
    from . import compare
    from .scan import scan
    found = [guarded(lambda folder=folder: scan(folder)) for folder in (one, other)]
    for folder, each in zip((one, other), found, strict=True):
        if each is None:
            raise click.ClickException(f"{folder} holds no journal")
    lines = compare.genesis_differences(found[0].genesis, found[1].genesis)
    seq, fields = guarded(lambda: compare.record_differences(one, other))
    if fields:
        lines += [f"sequence {seq}: {line}" for line in fields]
    elif found[0].last_seq != found[1].last_seq:
        longer = one if found[0].last_seq > found[1].last_seq else other
        lines.append(f"equal up to sequence {seq}, where one ends; {longer} goes on to "
                     f"{max(each.last_seq for each in found)}")
    if lines:
        click.echo("\n".join(lines))
        sys.exit(FAILURE)
    click.echo(f"equal: genesis and {seq} records")


@command.command()
@click.argument("directory", metavar="DIR")
@click.option("--csv", "csv_path", metavar="FILE", help="A CSV file to write.")
@click.option("--parquet", "parquet_path", metavar="FILE", help="A Parquet file to write.")
def export(directory, csv_path, parquet_path):
    """Write every command as a row of a table, with its time in UTC and its account's name."""
    from . import export as tables
    from .follow import genesis_of
    from .scan import read
    if not csv_path and not parquet_path:
        raise click.UsageError("name a file: --csv FILE or --parquet FILE, or both")
    for path, write in ((csv_path, tables.write_csv), (parquet_path, tables.write_parquet)):
        if not path:
            continue
        try:
            count = guarded(lambda path=path, write=write: write(
                path, read(directory), genesis_of(directory)))
        except ModuleNotFoundError as missing:
            click.echo(f"{path} was not written: Parquet needs the package {missing.name}; "
                       "install it with: pip install pyarrow", err=True)
            sys.exit(CANNOT_RUN)
        click.echo(f"{path}: {count} commands")


@command.command()
@click.argument("directory", metavar="DIR")
@click.argument("account", metavar="ACCOUNT")
@click.argument("path", metavar="FILE")
def streams(directory, account, path):
    """Write an account's acknowledgements of the day, byte by byte as they were sent.

    FILE must not be there yet; it gets SoupBinTCP packets, message 1 first.
    """
    from ..shm.cache import use_cache
    use_cache()
    from . import streams as accounts
    from .recover import NoJournal
    from .replay import ReplayError
    try:
        count, sz = guarded(lambda: accounts.write(directory, account, path))
    except (NoJournal, ReplayError, ValueError, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(FAILURE)
    click.echo(f"{path}: {count} messages, {sz} bytes")

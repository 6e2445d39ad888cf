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
@click.option("--commands", "as_commands", is_flag=True,
              help="Instead a row a command, with every field that was journalled.")
def export(directory, csv_path, parquet_path, as_commands):
    """Write the life of every order, a row an event, made by a replay.

    Accept, replace, execution (a row a side), cancel, reject, bust; logins, logouts, lost sessions;
    phases, symbols' states, crosses. UTC, and the state of the clock as clock.csv has it.
    """
    from ..shm.cache import use_cache
    use_cache()
    from ..layout.codec import WireError
    from . import export as files
    from .outputs import Missed
    from .replay import ReplayError
    if not csv_path and not parquet_path:
        raise click.UsageError("name a file: --csv FILE or --parquet FILE, or both")
    for path, write in ((csv_path, files.write_csv), (parquet_path, files.write_parquet)):
        if not path:
            continue
        try:
            count = guarded(lambda path=path, write=write: _export(
                directory, path, write, as_commands))
        except ModuleNotFoundError as missing:
            click.echo(f"{path} was not written: Parquet needs the package {missing.name}; "
                       "install it with: pip install pyarrow", err=True)
            sys.exit(CANNOT_RUN)
        except (ReplayError, Missed, WireError, OSError) as error:
            click.echo(f"{path} is not whole: {error}", err=True)
            sys.exit(FAILURE)
        click.echo(f"{path}: {count} {'commands' if as_commands else 'events'}")


def _export(directory, path, write, as_commands):
    """Writes one file; how many rows."""
    from . import export as files
    from .follow import genesis_of
    from .scan import read
    genesis, arrays = genesis_of(directory), read(directory)
    if as_commands:
        return write(path, (files.columns(records, genesis) for records in arrays))
    from . import life
    from .clock import Clock
    tables = map(life.table, life.events(genesis, arrays, Clock.load(directory)))
    return write(path, tables) if write is files.write_csv else write(path, tables, life.TYPES)


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

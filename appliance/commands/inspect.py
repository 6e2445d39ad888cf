"""`wirematch inspect`: a crash's record, or the last commands and messages of a running matcher."""

import json
from pathlib import Path

import click

from .shared import running


@click.command()
@click.argument("place", metavar="[FOLDER]", required=False)
@click.option("--live", metavar="RUNTIME_DIR", help="Look at an appliance that runs there.")
@click.option("-p", "--partition", type=click.IntRange(0, 31), default=0, show_default=True,
              help="With --live: whose matcher.")
@click.option("-n", "--last", type=click.IntRange(1, 4096), default=20, show_default=True,
              metavar="N", help="So many commands and messages.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(place, live, partition, last, as_json):
    """Read a crash's record: its last commands, feed messages and counters.

    FOLDER is one crash's, or holds several (then they are listed): by default
    <durability.directory>/crashes.
    """
    if (place is None) == (live is None):
        raise click.UsageError("name a FOLDER or --live RUNTIME_DIR, and not both")
    if live is not None:
        found = _live(live, partition)
    elif not (Path(place) / "about.json").exists():
        _list(place)
        return
    else:
        from ..control import recorder
        try:
            found = recorder.load(place)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    click.echo(as_dict(found, last) if as_json else text(found, last))


def _live(where, partition):
    from .. import topology as topo
    from ..config import load
    from ..config.mistakes import ConfigError
    from ..control import recorder
    from ..shm.region import RegionError
    content, why = running(where)
    if content is None:
        raise click.ClickException(why)
    rows = {row["partition"]: row for row in content["partitions"]}
    if partition not in rows:
        raise click.ClickException(f"partition {partition}: there are {', '.join(map(str, rows))}")
    try:
        table = topo.build(load.thaw(f"{where}/config.json"),
                           [row["instance"] for row in content["partitions"]])
        return recorder.live(table.partitions[partition], rows[partition])
    except (ConfigError, RegionError, OSError) as error:
        raise click.ClickException(f"{where}: {error}") from error


def _list(place):
    from ..control import recorder
    found = recorder.folders(place)
    if not found:
        raise click.ClickException(f"{place}: no record of a crash is there; they lie in "
                                   "<durability.directory>/crashes")
    for folder in found:
        about = json.loads((folder / "about.json").read_text())
        click.echo(f"{folder}: {about['how']} after {about['command']}")


def as_dict(found, last) -> str:
    """One JSON object."""
    from ..journal import show
    return json.dumps({"about": found["about"], "feed": found["feed"][-last:],
                       "commands": [json.loads(line) for line in
                                    show.lines(found["ring"][-last:], True)],
                       "counters": found["counters"]}, indent=1)


def text(found, last) -> str:
    """Lines for people."""
    from ..journal import show
    about, status, engine = found["about"], found["status"][0], found["engine"][0]
    lines = [f"matcher@{about['partition']} instance {about['instance']}, {about['time']}: "
             f"{about['how']}" + (f" after {about['command']}" if "command" in about else ""),
             f"state {about['status']['state']}, fault {about['fault']}, phase "
             f"{int(engine['phase'])}, heartbeat {int(status['heartbeat_ns'])} ns (monotonic), "
             f"{int(status['journal_seq'])} commands, {int(status['live_orders'])} live orders",
             f"last {min(last, len(found['ring']))} commands:",
             *(f"  {line}" for line in show.lines(found["ring"][-last:])),
             f"last {min(last, len(found['feed']))} feed messages:",
             *(f"  {seq} {kind} {body}" for seq, kind, body in found["feed"][-last:]),
             "counters:", *(f"  {name:<24}{count}" for name, count in found["counters"].items()
                            if count)]
    return "\n".join(lines)

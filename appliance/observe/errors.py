"""`wirematch errors`: what went wrong, each thing once, with its count, first and last time."""

import json

import click

from . import place


@click.command()
@place.options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def command(folder, as_json):
    """Show distinct alarms, and counters of what was lost or refused.

    Times are UTC, of alarms exact, of counters to a second.
    """
    from .reading import Reader
    content = Reader(folder).look().content
    place.need(content)
    found = rows(content)
    if as_json:
        click.echo(json.dumps(found))
        return
    for row in found:
        where = f" ({row['where']})" if row["where"] else ""
        click.echo(f"{row['count']:>10}x  {row['name']}{where}\n"
                   f"{'':>13}first {row['first']}, last {row['last']}\n{'':>13}{row['text']}")
    if not found:
        click.echo("nothing: no alarm has sounded, nothing was lost or refused")


def rows(content: dict) -> list[dict]:
    """Alarms, then counters, those of the newest time first: kind alarm or counter, name, where,
    count, first, last, and a text that says what to do."""
    from ..control.remedies import REMEDIES
    alarms = [{"kind": "alarm", "name": row["kind"], "where": row["where"], "count": row["count"],
               "first": row["first"], "last": row["last"], "text": row["text"]}
              for row in content["alarms"]]
    drops = [{"kind": "counter", "name": f"{row['group']}.{row['counter']}",
              "where": row["where"], "count": row["count"], "first": row["first"],
              "last": row["last"], "text": REMEDIES[row["group"]][row["counter"]]}
             for row in content["drops"]]
    return [each for group in (alarms, drops)
            for each in sorted(group, key=lambda row: row["last"], reverse=True)]

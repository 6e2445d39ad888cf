"""`wirematch doctor`: what is wrong with a running appliance now, why, and what to do."""

import json
import sys
import time

import click

from .shared import CHECK_FAILED, NOT_READY, config_option, load, running


@click.command()
@config_option(required=True)
@click.option("--interval", "interval_s", type=click.FloatRange(0.1, 600), default=2.5,
              show_default=True, metavar="SECONDS", help="Between two looks at the counters.")
@click.option("--no-host", is_flag=True, help="Leave the host's settings out.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(path, interval_s, no_host, as_json):
    """Say in plain words what is wrong now, why it matters, and what to do.

    Looks twice at a running appliance and once at the host; changes nothing. Exit 0 healthy, 3 a
    problem was found, 4 no appliance runs.
    """
    from ..control import doctor, wants
    from ..host import configure, machine
    config = load(path)
    file = f"{config.runtime_dir}/status.json"
    samples = []
    for pause in (0.0, interval_s):
        time.sleep(pause)
        content, why = running(config.runtime_dir)
        if content is None:
            click.echo(f"Error: {why}", err=True)
            sys.exit(NOT_READY)
        samples.append(doctor.sample(content, file, time.clock_gettime(time.CLOCK_REALTIME)))
    items = [] if no_host else configure.look(machine.Machine(), wants.derive(config))
    found = doctor.diagnose(*samples, items, config.capacity.journal)
    well = doctor.healthy(found)
    if as_json:
        click.echo(json.dumps({"healthy": well, "findings": [each.row() for each in found]},
                              indent=1))
    else:
        for each in found:
            click.echo(each.text())
        number = sum(each.level == doctor.PROBLEM for each in found)
        click.echo("healthy: no problem found" if well else
                   f"{number} problem{'s' if number > 1 else ''} found")
    sys.exit(0 if well else CHECK_FAILED)

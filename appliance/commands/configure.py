"""`wirematch configure check | init | fini [STAGE...]`: the host as the configuration wants it."""

import json
import sys

import click

from .shared import CHECK_FAILED, FAILURE, config_option, load

STAGES = ("hugepages", "queues", "rings", "offloads", "steering", "irq", "isolated", "governor",
          "cstates", "clock", "memlock", "bpf", "sysctls", "nic")
_MARKS = {"good": "ok", "wrong": "WRONG", "unseen": "cannot see", "none": "-"}


@click.group()
def command():
    """Look at the host's settings, make them as the configuration wants, or take that back."""


def _options(function):
    stages = click.argument("stages", metavar="[STAGE]...", nargs=-1,
                            type=click.Choice(STAGES))
    return config_option(required=True)(stages(function))


def _state(function):
    return click.option("--state", metavar="FILE", help="Where old values are kept (default: "
                        "/run/wirematch-configure/NAME.json).")(function)


@command.command()
@_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--strict", is_flag=True, help="Exit 3 also when something advisory is wrong.")
def check(path, stages, as_json, strict):
    """Compare the host with the configuration; change nothing.

    Exit 3 when something required is wrong; what is advisory is told with its cost.
    """
    from ..control import wants
    from ..host import configure, machine
    items = configure.look(machine.Machine(), wants.derive(load(path)), stages)
    wrong = [item for item in items if item.state == machine.WRONG]
    required = [item for item in wrong if item.required]
    if as_json:
        click.echo(json.dumps({"ok": not required, "wrong": len(wrong), "required": len(required),
                               "items": [item.row() for item in items]}, indent=1))
    else:
        for item in items:
            click.echo(text(item))
        click.echo(f"{len(items)} looked at: {len(required)} required and "
                   f"{len(wrong) - len(required)} advisory wrong")
    sys.exit(CHECK_FAILED if required or strict and wrong else 0)


def text(item) -> str:
    """An item in a line, and two more when it is wrong."""
    need = "required" if item.required else "advisory"
    line = (f"{_MARKS[item.state]:<11}{item.stage:<10}{item.name}: {item.found} (wanted: "
            f"{item.wanted}; {need})")
    if item.state == "wrong":
        line += f"\n{'':<11}cost: {item.cost}"
        line += f"\n{'':<11}{'do' if item.change else 'by hand'}: {item.command}" \
            if item.command else ""
    return line


@command.command()
@_options
@_state
def init(path, stages, state):
    """Set what is wrong and can be set, in order; old values are kept for `fini`."""
    from ..control import wants
    from ..host import configure, machine
    config = load(path)
    here = machine.Machine()
    try:
        wrong = configure.init(here, wants.derive(config), _memory(config, state), stages,
                               click.echo)
    except machine.MachineError as error:
        raise click.ClickException(str(error)) from error
    _finish(wrong)
    for item in configure.look(here, wants.derive(config), stages):
        if item.state == machine.WRONG:
            click.echo(text(item))


@command.command()
@_options
@_state
def fini(path, stages, state):
    """Set back what `init` has set, last first."""
    from ..host import configure, machine
    try:
        wrong = configure.fini(machine.Machine(), _memory(load(path), state), stages, click.echo)
    except machine.MachineError as error:
        raise click.ClickException(str(error)) from error
    _finish(wrong)


def _memory(config, state):
    from ..host import configure
    return configure.Memory(state or f"/run/wirematch-configure/{config.name}.json")


def _finish(wrong):
    for line in wrong:
        click.echo(f"Error: {line}", err=True)
    if wrong:
        sys.exit(FAILURE)

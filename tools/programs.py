"""Command groups whose commands are programs of their own, loaded when they are called.

`wirematch GROUP NAME ARGUMENTS` hands the arguments to `PACKAGE.NAME`, which is also a program:
`python -m PACKAGE.NAME`. So a group costs nothing but its names until one of them runs.
"""

import importlib
import sys

import click

_PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}


def add_programs(group: click.Group, package: str, names: dict[str, str]) -> None:
    """Adds a command a name; names: {name: what its help line says}."""
    for name, text in names.items():
        _add(group, f"{package}.{name}", name, text)


def _add(group, module, name, text):
    @group.command(name, short_help=text, context_settings=_PASS_ON, add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def program(arguments):
        sys.exit(importlib.import_module(module).main(list(arguments)))

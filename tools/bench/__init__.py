"""Benches and the tracer: with a figure each prints what it depends on, such as rung and core map.

`wirematch bench NAME ARGUMENTS` hands the arguments to `tools.bench.NAME`, which is also a program
of its own: `python -m tools.bench.NAME`.
"""

import importlib
import sys

import click

NAMES = {"adversarial": "What an order costs in books made to hurt, against w3.",
         "core": "The matching core's rate on workload files, results checked.",
         "gate": "Instructions a message of the compiled book, against the figures kept.",
         "depth": "What publishing depth in shared memory costs.",
         "partitions": "Several matchers under a flood of orders, beside bare receivers.",
         "scan": "The price scan against its scalar twin, by length.",
         "tracer": "What the kernel's path costs here: AF_XDP in, 0, 1 or 3 frames out."}
_PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}


@click.group("bench", short_help="Measure the matching core and the kernel's path.")
def command():
    """Benches that check their results before they print a figure."""


def _add(name, text):
    @command.command(name, short_help=text, context_settings=_PASS_ON, add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def bench(arguments):
        sys.exit(importlib.import_module(f"tools.bench.{name}").main(list(arguments)))


for _name, _text in NAMES.items():
    _add(_name, _text)

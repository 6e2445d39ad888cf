"""Fault tools: hostile input and lost parts, seeded, with a verdict.

`wirematch faults NAME ARGUMENTS` hands the arguments to `tools.faults.NAME`, which is also a
program of its own: `python -m tools.faults.NAME`.
"""

import click

from tools.programs import add_programs

NAMES = {"killer": "Processes killed at random under load; the journal is the judge.",
         "simulate": "The whole appliance in one process, a run a seed: it must hold.",
         "xfuzz": "Random and mutated frames through the XDP program, compared with a model.",
         "relay": "A bridge that loses, doubles, delays and spoils frames, accounted for.",
         "lossy": "A day through the relay: every stream, feed and book as the journal says.",
         "inject": "Hostile frames by name at a running appliance, each in exactly one counter.",
         "flood": "Hostile frames at full rate beside honest participants, who lose nothing.",
         "tails": "The end of a journal torn and spoilt; the scan must say where.",
         "smoke": "A little of each, in one table, and a canary that must be found.",
         "cutter": "Power cuts: copies of the disk's image, started from, acknowledged lost 0.",
         "report": "All of these, and each row of the catalogue with its verdict, as a page."}


@click.group("faults", short_help="Break things on purpose, seeded, with a verdict.")
def command():
    """Tools that make faults and judge what the appliance does about them."""


add_programs(command, __name__, NAMES)

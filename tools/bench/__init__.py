"""Benches and the tracer: with a figure each prints what it depends on, such as rung and core map.

`wirematch bench NAME ARGUMENTS` hands the arguments to `tools.bench.NAME`, which is also a program
of its own: `python -m tools.bench.NAME`.
"""

import click

from tools.programs import add_programs

NAMES = {"adversarial": "What an order costs in books made to hurt, against w3.",
         "core": "The matching core's rate on workload files, results checked.",
         "gate": "Instructions a message of the compiled book, against the figures kept.",
         "depth": "What publishing depth in shared memory costs.",
         "receive": "What batch, ring depth, huge pages, scheduling and waiting cost and bring.",
         "journal": "What appending and syncing a group of records costs on a disk.",
         "durability": "What each durability level costs: throughput, and the wait for answers.",
         "recovery": "How soon a journal is a core again: replay, snapshot, both.",
         "latency": "Order to acknowledgement, open loop, beside a bare echo.",
         "numbers": "What a scrape and a frame of `top` cost; pictures of the page.",
         "partitions": "Several matchers under a flood of orders, beside bare receivers.",
         "replay": "The replay tool beside a bare generator, and how well it keeps time.",
         "path": "Orders a second through the whole path, beside a bare receiver.",
         "sends": "What a packet that leaves costs, by the way it leaves and the burst.",
         "scan": "The price scan against its scalar twin, by length.",
         "tracer": "What the kernel's path costs here: AF_XDP in, 0, 1 or 3 frames out.",
         "xdp": "What the XDP program costs a frame, beside a bare redirect."}


@click.group("bench", short_help="Measure the matching core and the kernel's path.")
def command():
    """Benches that check their results before they print a figure."""


add_programs(command, __name__, NAMES)

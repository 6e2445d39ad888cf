"""The verdict on a world that has run: every book, state and count must be one (see ledger.py)."""

from appliance.journal import recover as recovering
from appliance.journal import state_hash
from appliance.journal.genesis import describe, fill_names
from appliance.journal.scan import scan

from .ledger import displayed, live_qty, live_rows


def judge(world, settled) -> None:
    """Tells world.fail what does not hold; settled: whether everybody had come to rest."""
    box, counts = world.box, world.result.counts
    if box.is_up:
        box.account()
        live, folder = box.venue.core, box.folder()
        box.writer.close()
        core, rows, records = world.ledger.replay(folder, scan(folder).genesis)
        _states(world, live, core, folder)
        world.ledger.judge(core, rows, world.plan.level)
        world.ledger.judge_orders(core)
        world.ledger.judge_upstream(records)
        if settled:
            _listeners(world, displayed(live))
            _traders(world, live)
        counts["commands"] = len(records)
    _datagrams(world)
    counts |= {"shown": world.ledger.message_cnt, "datagrams": world.net.counts["sent"],
               "starts": box.starts, "salvaged": box.salvaged, "lost_tails": box.lost_tails,
               "snapshots": box.snapshots}
    world.result.points = world.disk.points


def _states(world, live, core, folder):
    """The matcher's, the journal's replayed, and the one that a next start would have."""
    names = describe(world.box.part, world.box.day)
    recovered = recovering.recover(folder).core
    for each in (core, recovered):
        fill_names(each, names)
    found = [state_hash.of(each) for each in (live, core, recovered)]
    if len(set(found)) > 1:
        world.fail("state", "live {:016x}, replayed {:016x}, recovered {:016x}".format(*found))
    world.timeline.note("state", *found)


def _listeners(world, book):
    for n, each in enumerate(world.listeners):
        if each.shown() != book:
            odd = sorted(set(each.shown().items()) ^ set(book.items()))[:4]
            world.fail("books", f"listener {n} and the matcher differ: {odd}")
        if each.handler.books.crossed_cnt:
            world.fail("books", f"listener {n} has seen a crossed book")


def _traders(world, live):
    still = {}
    for handle, row in live_rows(live):
        still.setdefault(int(row["account"]), {})[int(row["user_ref_num"])] = live_qty(live, handle)
    for n, each in enumerate(world.traders):
        known = {key.user_ref_num: order.open_qty
                 for key, order in each.line.open_orders().items()}
        if known != still.get(n, {}):
            odd = sorted(set(known.items()) ^ set(still.get(n, {}).items()))[:4]
            world.fail("participant", f"{each.name} and the matcher differ: {odd}")


def _datagrams(world):
    """Each copy has one end; those still under way have none yet."""
    counts = world.net.counts
    ended = sum(counts[name] for name in ("lost", "cut", "flipped", "nobody", "delivered"))
    if ended + world.net.flying != counts["sent"] + counts["doubled"]:
        world.fail("counters", f"datagrams of the network: {counts}, {world.net.flying} under way")

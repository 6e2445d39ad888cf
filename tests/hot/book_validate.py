"""A full-structure check of a book: every array against every other, as the declarations say."""

import numpy as np

from appliance.layout.record import EXTRA_BIT, FAR_BIT, FAR_BLOCK, FAR_LEAST


def validate(book):
    """Raises AssertionError with the place and both values for the first thing that is not so."""
    engine = book.engine[0]
    lg_ladder, seen, far_used, blocks_used = int(engine["lg_ladder"]), {}, [], []
    assert int(engine["fault"]) == 0, f"engine.fault is {int(engine['fault']):#x}"
    shown_cnt = 2 * len(book.symbols)
    for owner in range(len(book.sides)):
        prices = _ladder(book, owner, lg_ladder, seen) if owner < shown_cnt else []
        prices += _far(book, owner, lg_ladder, seen, far_used)
        blocks_used += [block for block, _ in blocks_of(book, owner)]
        side = book.sides[owner]
        best = -1 if owner % 2 == 0 else 2147483647
        if prices:
            best = min(prices) if owner % 2 else max(prices)
        assert int(side["best_ticks"]) == best, f"side {owner}: {side['best_ticks']} not {best}"
        mine = sum(1 for at in seen.values() if at == owner)
        assert int(side["order_cnt"]) == mine, f"side {owner}: {side['order_cnt']} not {mine}"
    for owner in range(shown_cnt):
        hidden = int(book.sides[owner + shown_cnt]["order_cnt"])
        assert int(book.sides[owner]["hidden_cnt"]) == hidden, f"side {owner}: hidden {hidden}"
    shown = book.sides[:shown_cnt]
    for bid, ask in zip(shown[0::2], shown[1::2], strict=True):
        crossed = bid["order_cnt"] and ask["order_cnt"] and bid["best_ticks"] >= ask["best_ticks"]
        assert not crossed, f"crossed: bid {bid['best_ticks']}, ask {ask['best_ticks']}"
    live = set(np.nonzero(book.orders["qty"])[0].tolist())
    assert live == set(seen), f"live but in no queue, or the reverse: {sorted(live ^ set(seen))}"
    assert int(engine["live_orders"]) == len(seen), f"live_orders {engine['live_orders']}"
    for order in seen:
        open_qty, total = int(book.orders[order]["qty"]), int(book.orders[order]["total"])
        if int(book.orders[order]["level"]) & EXTRA_BIT:
            extra = book.extras[order]
            assert open_qty <= int(extra["floor"]) or not extra["floor"], f"order {order} {extra}"
            assert bool(extra["floor"]) != bool(extra["least"]), f"order {order} {extra}"
            assert not extra["reserve"] or extra["floor"], f"order {order} {extra}"
            open_qty += int(extra["reserve"])
        assert 0 < open_qty <= total, f"order {order}: open {open_qty} of {total}"
    parts = sum(-(-int(extra["reserve"]) // int(extra["floor"]))
                for extra in (book.extras[order] for order in seen
                              if int(book.orders[order]["level"]) & EXTRA_BIT) if extra["floor"])
    assert int(engine["parts_owed"]) == parts, f"parts_owed {engine['parts_owed']} not {parts}"
    check_pools(book, far_used, blocks_used)


def _queue(book, head, tail, level, owner, seen, where):
    """Walks one queue; its links, quantities and level must agree."""
    before, at = 0, head
    assert head and tail, f"{where}: head {head}, tail {tail}"
    while at:
        order = book.orders[at]
        assert at not in seen, f"{where}: order {at} stands twice"
        assert int(order["prev"]) == before, f"{where}: order {at} has prev {order['prev']}"
        assert int(order["level"]) & ~EXTRA_BIT == level, f"{where}: {at} in {order['level']:#x}"
        assert int(order["qty"]) > 0, f"{where}: order {at} is dead"
        seen[at] = owner
        before, at = at, int(order["next"])
    assert before == tail, f"{where}: tail {tail}, last {before}"


def _ladder(book, owner, lg_ladder, seen):
    first, stop = owner << lg_ladder, (owner + 1) << lg_ladder
    window = int(book.symbols[owner >> 1]["window_ticks"])
    row = book.levels[first:stop]
    used = np.nonzero(row["head"])[0]
    assert np.array_equal(used, np.nonzero(row["tail"])[0]), f"side {owner}: heads and tails differ"
    marked = np.unpackbits(book.bits[first >> 6:stop >> 6].view(np.uint8), bitorder="little")
    assert np.array_equal(used, np.nonzero(marked)[0]), f"side {owner}: bitmap {np.nonzero(marked)}"
    words = np.unpackbits(book.bits2[first >> 12:stop >> 12].view(np.uint8), bitorder="little")
    assert np.array_equal(np.nonzero(words)[0], np.unique(used >> 6)), f"side {owner}: second map"
    for place in used.tolist():
        _queue(book, int(row[place]["head"]), int(row[place]["tail"]), first + place, owner, seen,
               f"side {owner} price {window + place}")
    return [window + place for place in used.tolist()]


def blocks_of(book, owner):
    """[(block, levels in it)] of a side, as its row of the index says."""
    row = book.far_index[owner]
    words = row[(len(row) + 1) // 2:][:row[0]].tolist()
    return [(word >> 8, word & 255) for word in words]


def far_of(book, owner):
    """[(price, slot)] of a side's far levels, worst first; checks how they are filed."""
    found, where = [], f"side {owner}"
    blocks, limits = blocks_of(book, owner), book.far_index[owner, 1:].tolist()
    for entry, (block, used) in enumerate(blocks):
        is_last = entry + 1 == len(blocks)
        assert (1 if is_last else FAR_LEAST) <= used <= FAR_BLOCK, f"{where}: {used} in {block}"
        words = book.far_blocks.reshape(-1, 2, FAR_BLOCK)[block]
        assert (words[0, used:] == 2147483647).all(), f"{where}: {used} used of {words[0]}"
        words = words[:, :used].tolist()
        low = limits[entry - 1] if entry else -1 << 32
        high = 1 << 32 if is_last else limits[entry]
        assert low < words[0][0] and words[0][-1] <= high, f"{where}: limits {low} {high}, {words}"
        found += zip(*words, strict=True)
    ranks = [rank for rank, _ in found]
    assert ranks == sorted(set(ranks)), f"{where}: far ranks {ranks}"
    assert len(ranks) == int(book.sides[owner]["far_cnt"]), f"{where}: {len(ranks)} far levels"
    return [(rank ^ -(owner & 1), slot) for rank, slot in found]


def _far(book, owner, lg_ladder, seen, far_used):
    shown = owner < 2 * len(book.symbols)
    window = int(book.symbols[owner >> 1]["window_ticks"]) if shown else 0
    levels = far_of(book, owner)
    for price, slot in levels:
        where = f"side {owner} far price {price}"
        level = book.far_levels[slot]
        in_window = shown and window <= price < window + (1 << lg_ladder)
        assert not in_window, f"{where} lies in the window"
        assert int(level["price_ticks"]) == price, f"{where}: slot {slot} is {level['price_ticks']}"
        assert int(level["owner"]) == owner, f"{where}: slot {slot} of side {level['owner']}"
        _queue(book, int(level["head"]), int(level["tail"]), FAR_BIT | slot, owner, seen, where)
        far_used.append(slot)
    return [price for price, _ in levels]


def _chain(first, following):
    """The numbers on a thread of free ones; `following` has the next one of each."""
    found, following = [], following.tolist()
    while first and len(found) <= len(following):
        found.append(first)
        first = following[first]
    return found


def check_pools(book, far_used, blocks_used):
    """Every far slot and every far block is used once or free once."""
    engine, count = book.engine[0], len(book.far_levels)
    free = _chain(int(engine["next_far"]), book.far_levels["head"])
    assert len(free) == int(engine["free_far"]), f"{len(free)} far slots, {engine['free_far']}"
    assert sorted(free + far_used) == list(range(1, count)), f"far slots: {free} {far_used}"
    firsts = book.far_blocks[::2 * FAR_BLOCK]
    free = _chain(int(engine["free_block"]), firsts)
    assert sorted(free + blocks_used) == list(range(1, len(firsts))), f"far blocks: {blocks_used}"

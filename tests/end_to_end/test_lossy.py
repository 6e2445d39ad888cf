"""A day over a bad wire: 5 % lost, 5 % doubled, 5 % reordered, 1 % flipped, both ways. Everybody is
told what the journal says, once. Ten million messages with WIREMATCH_LONG=1.
"""

import json
import os

import pytest

from tests.netns import needs_namespaces
from tools.faults import lossy
from tools.faults.relay_way import Faults

pytestmark = [needs_namespaces, pytest.mark.slow]
LONG = bool(os.environ.get("WIREMATCH_LONG"))
TOTAL = 10_000_000 if LONG else 200_000
JOINS = 100 if LONG else 20


def test_nothing_is_lost_and_nothing_comes_twice(warm):
    # an order message makes 3.5 messages in all: itself, 1.6 answers and 0.9 of the feed
    found = lossy.run(TOTAL * 10 // 33, 11)
    print(json.dumps(found))
    assert found["verdict"] == "equal" and found["count"] >= TOTAL
    for counts in found["ways"].values():
        frames = counts["received"]
        assert 0.04 < counts["dropped"] / frames < 0.06
        assert 0.04 < counts["duplicated"] / counts["passed"] < 0.06
        assert 0.04 < counts["reordered"] / counts["passed"] < 0.06
        assert 0.006 < counts["flipped"] / counts["passed"] < 0.014
    assert found["gaps_upstream"] > 100 and min(found["gaps_feed"]) > 10


def test_late_joiners_and_feeds_that_were_dead(warm):
    found = lossy.run(JOINS * 2500, 12, joins=JOINS, outage_s=1.0, rate=2000)
    print(json.dumps(found))
    assert found["verdict"] == "equal" and len(found["joins"]) == JOINS
    assert {by for _, by, _ in found["joins"]} == {"snapshot", "re-request"}
    assert len({number for number, _, _ in found["joins"]}) > JOINS // 2, "joined while it moved"
    assert found["outage"]["missed"] > 100
    print(f"converged {found['outage']['converged_s']} s after the feeds were back")


def test_both_feeds_dead_for_a_second_at_full_rate(warm):
    found = lossy.run(60_000, 13, there=Faults(), back=Faults(), outage_s=1.0)
    print(json.dumps(found["outage"]))
    assert found["verdict"] == "equal" and found["outage"]["missed"] > 1000


def test_a_stream_that_differs_is_noticed():
    class Truth:
        taken, stream_seqs, streams, feed_seq, feed = {0: 5, 1: 5}, [4, 4], [7, 8], 10, 9
        out_of_turn = skips = 0
        books, books_at = type("Books", (), {"crossed_cnt": 0}), {10: "book", 4: "early"}

    told = {f"trader{n}": {"upstream": 5, "heard": 3, "told": 7 + n, "accepted_twice": 0}
            for n in range(2)}
    told |= {f"subscriber{n}": {"expected": 10, "told": 9, "book": "book", "crossed": 0}
             for n in range(2)}
    told["joiner"] = {"joins": [{"number": 4, "by": "snapshot", "book": "early"}]}
    assert lossy.differences(Truth, told, 10) == []
    for who, what, value in (("trader1", "told", 1), ("trader0", "heard", 2),
                             ("trader0", "upstream", 6), ("trader0", "accepted_twice", 1),
                             ("subscriber1", "told", 8), ("subscriber0", "book", "other"),
                             ("subscriber0", "expected", 9)):
        changed = told | {who: told[who] | {what: value}}
        (words,) = lossy.differences(Truth, changed, 10)
        assert who in words
    late = told | {"joiner": {"joins": [{"number": 4, "by": "snapshot", "book": "book"}]}}
    assert "joiner at 4" in lossy.differences(Truth, late, 10)[0]

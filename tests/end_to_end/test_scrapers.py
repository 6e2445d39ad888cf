"""A thousand who connect to the numbers' port and hang there: nobody else notices."""

import itertools
import os
import signal
import socket
import statistics
import time

import numpy as np
import pytest

from appliance.hot.counters import quantile
from appliance.layout import shared
from appliance.observe import web
from tests.end_to_end.load_kit import Load
from tests.end_to_end.place import PRICE, Place
from tests.netns import needs_namespaces
from tests.observe import metrics_kit as kit

pytestmark = [needs_namespaces, pytest.mark.slow]
HANGING, PACE = 1000, 2000
ROUNDS = int(os.environ.get("WIREMATCH_ROUNDS", "3"))         # of each kind; more for a figure
ROUND_S = 3.0
# A matcher that others cannot keep from its core, as on a machine where it has one of its own.
CORES = '[cores]\nwait = "block"\nrealtime = 20\n'


class Latencies:
    """The matcher's latencies of one round."""

    def __init__(self, place):
        self.memory = place.regions()("histograms")[:shared.HISTOGRAM_CNT]

    def over(self, seconds, meanwhile) -> np.ndarray:
        """The histogram of the frames of that time; meanwhile() is called in it, again and again.
        """
        before, until = self.memory.copy(), time.monotonic() + seconds
        while time.monotonic() < until:
            meanwhile()
            time.sleep(0.1)
        return self.memory - before


@pytest.fixture
def cpus():
    """Sets this process's CPUs; they are its own again afterwards."""
    before = os.sched_getaffinity(0)
    yield lambda wanted: os.sched_setaffinity(0, wanted or before)
    os.sched_setaffinity(0, before)


def test_a_thousand_hanging_scrapers(warm, cpus):
    with Place("native", {"gap_hold_us": 200_000}, metrics=kit.LISTEN, extra=CORES) as place:
        kit.until(lambda: kit.ready(place)[0] == 200)
        cpus(os.sched_getaffinity(0) - {place.row["cpu"]})     # all but the matcher are elsewhere
        load, latencies = Load(place, 0, 0, PRICE, pace=PACE), Latencies(place)
        kit.until(lambda: load.answered > 100)
        alone, crowded, answers = [], [], []
        cpu = []
        for _ in range(ROUNDS):
            alone.append(latencies.over(ROUND_S, lambda: None))
            with kit.Hanging(place, HANGING) as crowd:
                begun = _cpu_s(place)

                def ask():
                    crowd.again()
                    asked = time.monotonic()
                    code, _ = kit.get(place, "/readyz", timeout=30.0)
                    answers.append((code, time.monotonic() - asked))

                crowded.append(latencies.over(ROUND_S, ask))
                cpu.append((_cpu_s(place) - begun) / ROUND_S)
        held = len(os.listdir(f"/proc/{place.pid('metrics')}/fd"))
        report, = load.stop()
        assert report["whole"] and report["rejected"] == 0 and report["missing"] == 0
        assert report["accepted"] == report["entered"] > ROUNDS * 2 * ROUND_S * PACE / 10
        assert report["executed"] == report["entered"] * 10, "each was bought and sold"
        assert held < web.CONNECTIONS_MAX + 32
        assert {code for code, _ in answers} <= {200, 503}
        times = sorted(seconds for _, seconds in answers)
        assert times[len(times) // 2] < 1.0 and len(times) >= ROUNDS
        kit.until(lambda: kit.ready(place)[0] == 200)
        assert place.stop() == 0
    for share in (0.5, 0.99):
        rows = [[quantile(each, share) for each in rounds] for rounds in (alone, crowded)]
        ratios = sorted(b / a for a, b in zip(*rows, strict=True))
        noise = sorted(b / a for a, b in itertools.pairwise(rows[0]))
        print(f"p{share * 100:.0f} ns alone {rows[0]}, with {HANGING} hanging {rows[1]}; of all "
              f"{quantile(sum(alone), share)} and {quantile(sum(crowded), share)}; ratios "
              f"{ratios[0]:.3f} to {ratios[-1]:.3f}, median {statistics.median(ratios):.3f}; "
              f"alone to alone {noise[0]:.3f} to {noise[-1]:.3f}")
    print(f"/readyz median {times[len(times) // 2] * 1e3:.1f} ms, "
          f"worst {times[-1] * 1e3:.1f} ms of {len(times)}; metrics' CPU "
          f"{statistics.median(cpu):.1%}")


def _cpu_s(place):
    with open(f"/proc/{place.pid('metrics')}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_slow_reader_and_a_talker_are_cut_off(warm):
    """One that never takes its answer, and one that never ends its request."""
    with Place("native", metrics=kit.LISTEN) as place:
        kit.until(lambda: kit.ready(place)[0] == 200)
        with kit.Hanging(place, 1) as crowd:
            sock, = crowd.socks.values()
            sock.settimeout(web.REQUEST_S + 5)
            with pytest.raises(ConnectionError):                 # reset, or closed under its words
                while True:
                    sock.sendall(b"GET / HTTP/1.0\r\nX: " + b"x" * 600)
                    time.sleep(0.05)
        code, text = kit.get(place, "/nothing")
        assert code == 404 and "/metrics" in text
        with place.scene.appliance.entered():
            link = socket.create_connection(("127.0.0.1", kit.PORT), timeout=10)
        with link:
            link.sendall(b"POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 501 " in link.recv(4096)
        os.kill(place.pid("metrics"), signal.SIGTERM)

"""What an appliance tells of itself is what was done to it, to the order, by every way to ask."""

import json
import multiprocessing
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from appliance.observe.reading import Reader
from tests.end_to_end.place import PRICE, SMALL, SYMBOL, Place, listen, trade, wait_for
from tests.end_to_end.wire_kit import halted
from tests.netns import needs_namespaces
from tests.observe import metrics_kit as kit
from tests.observe.rules_kit import needs_promtool, promtool
from tests.shared_data import ROOT

pytestmark = [needs_namespaces, pytest.mark.slow]

TRADES, RESTING, REJECTED = 7, 2, 3
HERE = '{partition="0"}'
LOW = PRICE - 5_000


@pytest.fixture(scope="module")
def place(warm, tmp_path_factory):
    """An appliance with a journal, on which exactly that was done."""
    folder = tmp_path_factory.mktemp("journal")
    extra = f'[durability]\nlevel = "process"\ndirectory = "{folder}"\nsegment_mb = 2\n'
    with Place("native", sizes=SMALL, extra=extra, metrics=kit.LISTEN) as made:
        made.buyer, made.seller = made.login(0), made.login(1)
        for _ in range(TRADES):
            trade(made.buyer, made.seller)
        for n in range(RESTING):
            wait_for(made.buyer, made.buyer.enter("B", 5 + n, SYMBOL, LOW - 100 * n), "A")
        for _ in range(REJECTED):
            wait_for(made.buyer, made.buyer.enter("B", 5, "NOSUCH", LOW), "J")
        made.until(lambda content: content["partitions"][0]["counters"]["rejects"] == REJECTED)
        kit.until(lambda: kit.ready(made)[0] == 200)
        yield made


def test_metrics_are_what_was_sent(place):
    found = kit.numbers(place)
    assert {name: found[f"wirematch_{name}{HERE}"] for name in (
        "orders_total", "trades_total", "rejects_total", "live_orders", "live_sessions",
        "partition_ready", "journal_open", "market_open", "logins_total",
        "gate_lag_commands")} == {
        "orders_total": 2 * TRADES + RESTING, "trades_total": TRADES, "rejects_total": REJECTED,
        "live_orders": RESTING, "live_sessions": 2, "partition_ready": 1, "journal_open": 1,
        "market_open": 1, "logins_total": 2, "gate_lag_commands": 0}
    buckets = {series: value for series, value in found.items()
               if series.startswith("wirematch_latency_seconds_bucket")}
    whole = found[f"wirematch_latency_seconds_count{HERE}"]
    values = list(buckets.values())
    assert values == sorted(values) and values[-1] == whole
    assert whole >= 2 * TRADES + RESTING + REJECTED
    total = found[f"wirematch_latency_seconds_sum{HERE}"]
    assert 1e-7 * whole < total < 10 * whole
    frames = sum(value for series, value in found.items()
                 if series.startswith("wirematch_xdp_frames_total") and "redirected" in series)
    assert found[f"wirematch_rx_frames_total{HERE}"] == frames > 0
    for name in ("portd", "matcher@0", "recovery@0", "journal@0", "metrics"):
        assert found[f'wirematch_process_up{{process="{name}"}}'] == 1


@needs_promtool
def test_promtool_has_nothing_to_say_of_them(place):
    checked = promtool("check", "metrics", input=kit.scrape(place).text)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_stat_says_the_same(place):
    told = kit.wirematch(place, "stat", "--json")
    assert told.returncode == 0, told.stderr
    found, scraped = json.loads(told.stdout), kit.numbers(place)
    for name in ("orders", "trades", "rejects", "messages", "rx_applied"):
        key = f"wirematch_{name}_total{HERE}"
        assert found[key] == scraped[key] > 0
    some = kit.wirematch(place, "stat", "--once", "trades_*")
    assert re.fullmatch(rf'wirematch_trades_total\{{partition="0"\}} +{TRADES}\n',
                        kit.wirematch(place, "stat", "--once", "*_trades_total*").stdout)
    assert some.returncode == 1 and "no number's name holds 'trades_*'" in some.stderr


def test_the_snapshot_and_the_feed_show_the_same_book(place):
    content = json.loads(kit.get(place, "/snapshot.json")[1])
    row, = content["partitions"]
    assert content["found"] == "everything" and content["problems"] == []
    assert row["books"] == [{"symbol": SYMBOL, "bid": LOW / 10_000, "bid_qty": 5, "ask": 0.0,
                             "ask_qty": 0}]
    listen(place.buyer, place.seller)
    told = kit.wirematch(place, "watch", SYMBOL, "--once", "--json", "--ip",
                         place.scene.market_ip, market=True)
    assert told.returncode == 0, told.stderr
    seen = json.loads(told.stdout)
    assert seen["bids"] == [{"price": (LOW - 100 * n) / 10_000, "qty": 5 + n}
                            for n in range(RESTING)]
    assert seen["asks"] == [] and seen["missing"] == 0 and seen["state"] == "T"
    assert (seen["trade_count"], seen["volume"]) == (TRADES, 10 * TRADES)
    assert [(each["price"], each["qty"]) for each in seen["trades"]] == [
        (PRICE / 10_000, 10)] * TRADES
    text = kit.wirematch(place, "watch", SYMBOL, "--once", "--ip", place.scene.market_ip,
                         market=True).stdout
    assert f"{SYMBOL}: state T, {TRADES} trades of {10 * TRADES} shares" in text


def test_top_shows_it_once_and_in_eighty_columns(place):
    told = kit.wirematch(place, "top", "--once", env={**os.environ, "COLUMNS": "80"})
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert max(map(len, lines)) <= 80 and "READY" in lines[0] and "market open" in lines[0]
    row = next(line for line in lines if line.startswith(" 0 ready"))
    assert row.split()[2:4] == ["native", "process"] and row.split()[-2:] == ["2", "2"]
    assert any(line.startswith(" matcher@0") for line in lines)


class Terminal:
    """`wirematch top` on a terminal of 80 x 24."""

    def __init__(self, place):
        self.master, slave = pty.openpty()
        subprocess.run(["stty", "rows", "24", "cols", "80"], stdin=slave, check=True)
        self.before = self.settings()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "appliance.cli", "top", "--runtime-dir",
             str(place.scene.runtime)], cwd=ROOT, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True)
        self.slave, self.output = slave, b""

    def settings(self):
        import termios
        return termios.tcgetattr(self.master)

    def read_until(self, condition, patience_s=30.0):
        deadline = time.monotonic() + patience_s
        while not condition(self.output):
            assert time.monotonic() < deadline, self.output[-2000:]
            if select.select([self.master], [], [], 0.1)[0]:
                self.output += os.read(self.master, 65536)

    def ended(self):
        code = self.process.wait(20)
        while select.select([self.master], [], [], 0.2)[0]:
            self.output += os.read(self.master, 65536)
        same = self.settings() == self.before
        for each in (self.master, self.slave):
            os.close(each)
        return code, same


@pytest.mark.parametrize("end", ["q", signal.SIGINT, signal.SIGTERM])
def test_top_is_live_and_leaves_the_terminal_as_it_was(place, end):
    screen = Terminal(place)
    screen.read_until(lambda out: out.count(b"\x1b[H") >= 4)
    assert screen.settings() != screen.before
    if end == "q":
        os.write(screen.master, b"q")
    else:
        screen.process.send_signal(end)
    code, same = screen.ended()
    assert code == 0 and same
    assert screen.output.startswith(b"\x1b[?1049h\x1b[?25l")
    assert screen.output.endswith(b"\x1b[?25h\x1b[?1049l")
    frame = screen.output.split(b"\x1b[H")[2].decode()
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in frame.split("\r\n")]
    assert max(map(len, lines)) <= 80 and len(lines) <= 24
    assert any(re.match(" 0 (ready|late)  +native", line) for line in lines)   # a busy machine


def _as_nobody(folder, pipe):
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    pipe.send(Reader(folder).look().content)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_another_user_sees_what_status_json_has_and_is_told_so(place):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_as_nobody, args=(str(place.scene.runtime), theirs))
    child.start()
    assert ours.poll(20)
    content = ours.recv()
    child.join()
    (row,) = content["partitions"]
    assert content["found"] == "status.json alone" and "Permission" in content["problems"][0]
    assert not row["has_memory"] and row["latency"] is None and row["rings"] == {}
    assert row["counters"]["trades"] == TRADES and row["state"] == "ready"


def test_ready_has_an_exit_code_and_reasons(place):
    assert kit.ready(place) == (200, {"ready": True, "reasons": []})
    assert kit.get(place, "/healthz") == (200, "alive\n")
    assert kit.wirematch(place, "ready").returncode == 0
    with halted(place.pid("matcher@0")):
        code, said = kit.until(lambda: (found := kit.ready(place))[0] == 503 and found, 1.5, 0.02)
    assert code == 503 and not said["ready"]
    assert "partition 0" in said["reasons"][0]
    kit.until(lambda: kit.ready(place)[0] == 200)


def test_errors_tell_what_was_dropped_with_times_and_a_remedy(place):
    before = time.time()
    place.scene.outside.run("ip", "addr", "add", "10.77.0.99/24", "dev", "wm1")
    try:
        script = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
                  "s.bind(('10.77.0.99', 0)); "
                  f"[s.sendto(b'x' * 30, ('{place.scene.ip}', {place.row['order_port']})) "
                  "for _ in range(5)]")
        place.scene.outside.run(sys.executable, "-c", script)

        def row():
            told = kit.wirematch(place, "errors", "--json")
            assert told.returncode == 0, told.stderr
            return next((each for each in json.loads(told.stdout)
                         if each["name"] == "reasons.drop_unknown_source"), None)

        found = kit.until(row, 30)
    finally:
        place.scene.outside.run("ip", "addr", "del", "10.77.0.99/24", "dev", "wm1")
    assert found["count"] == 5 and found["kind"] == "counter" and "sources" in found["text"]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(before - 1))
    assert stamp <= found["first"] <= found["last"]
    text = kit.wirematch(place, "errors").stdout
    assert "5x  reasons.drop_unknown_source\n" in text and f"first {found['first']}" in text


def test_the_page_shows_it_in_a_browser(place):
    if not kit.chromium():
        pytest.skip("no chromium here; install Debian's package chromium-headless-shell")

    def look():
        """A busy machine may be late for the browser, and a matcher late for readiness."""
        shown = kit.browser(place, "--dump-dom")
        assert shown.returncode == 0, shown.stderr
        return '<span id="badge" class="badge ok">ready</span>' in shown.stdout and shown.stdout

    dom = kit.until(look, 90, 1.0)
    for part in (">native<", ">matcher@0<", f">{SYMBOL}<", f">{LOW / 10_000:.4f}<", "<polyline"):
        assert part in dom, part
    assert dom.count("<tr>") > 15


def test_metrics_has_no_rights_and_a_successor(place):
    pid = place.pid("metrics")
    with open(f"/proc/{pid}/status") as file:
        found = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    assert "0" not in found["Uid"].split() + found["Gid"].split()
    assert int(found["CapEff"], 16) == 0 and found["NoNewPrivs"] == "1"
    names = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not any("/p0/" in name for name in names), names
    with open(f"/proc/{pid}/maps") as file:
        regions = [line.split() for line in file if str(place.scene.runtime) in line]
    assert len(regions) >= 7 and {row[1][:2] for row in regions} == {"r-"}
    secret = {"sessions", "link_up", "link_down", "link_tcp_up", "streams"}
    assert not {row[-1].split("/")[-1] for row in regions} & secret

    os.kill(pid, signal.SIGKILL)
    kit.until(lambda: place.house.status and any(
        row["name"] == "metrics" and row["pid"] != pid
        for row in place.house.status["processes"]), 30)
    kit.until(lambda: kit.ready(place)[0] == 200)
    assert "metrics-died" in {row["kind"] for row in place.house.status["alarms"]}
    trade(place.buyer, place.seller)


def test_after_a_matcher_died_the_numbers_are_of_the_next_instance(place):
    before, instance = kit.numbers(place), place.row["instance"]
    os.kill(place.pid("matcher@0"), signal.SIGKILL)
    kit.until(lambda: place.row["instance"] > instance)
    kit.until(lambda: kit.ready(place)[0] == 200, 30)
    after = kit.numbers(place)
    key = f"wirematch_partition_instance{HERE}"
    assert after[key] == before[key] + 1
    assert after[f"wirematch_live_orders{HERE}"] == RESTING
    trades = after[f"wirematch_trades_total{HERE}"]
    trade(place.buyer, place.seller)
    kit.until(lambda: kit.numbers(place)[f"wirematch_trades_total{HERE}"] == trades + 1)


def test_what_is_gone_is_said_to_be(place, tmp_path):
    for arguments in (["top", "--once"], ["stat", "--once"], ["errors"]):
        told = subprocess.run([sys.executable, "-m", "appliance.cli", *arguments, "--runtime-dir",
                               str(tmp_path)], cwd=ROOT, text=True, capture_output=True)
        assert told.returncode == 1 and f"no appliance runs in {tmp_path}" in told.stderr
    told = subprocess.run([sys.executable, "-m", "appliance.cli", "ready", "--runtime-dir",
                           str(tmp_path)], cwd=ROOT, text=True, capture_output=True)
    assert told.returncode == 4

"""`--against`: another engine's trades are judged, and one that is missing or lies is named."""

import sys

import pytest

from tools import workload_maker
from tools.bench import core, rival_engines, rivals

# An honest engine with the interface of the package lightmatchingengine; BEST picks who trades.
ENGINE = '''
class Order:
    def __init__(self, order_id, side, price, leaves_qty):
        self.order_id, self.side, self.price, self.leaves_qty = order_id, side, price, leaves_qty

class Trade:
    def __init__(self, order_id, trade_price, trade_qty):
        self.order_id, self.trade_price, self.trade_qty = order_id, trade_price, trade_qty

class LightMatchingEngine:
    def __init__(self):
        self.live, self.count = {}, 0

    def add_order(self, instrument, price, qty, side):
        self.count += 1
        order, trades = Order(self.count, side, price, qty), []
        sign = 1 if side == 1 else -1
        while order.leaves_qty:
            meet = [o for o in self.live.values()
                    if o.side != side and sign * o.price <= sign * price]
            if not meet:
                self.live[order.order_id] = order
                break
            best = min(meet, key=lambda o: (sign * o.price, ORDER * o.order_id))
            qty = min(best.leaves_qty, order.leaves_qty)
            best.leaves_qty -= qty
            order.leaves_qty -= qty
            trades.append(Trade(best.order_id, best.price, qty))
            if not best.leaves_qty:
                del self.live[best.order_id]
        return order, trades

    def cancel_order(self, order_id, instrument):
        return self.live.pop(order_id, None)
'''


@pytest.fixture
def against(tmp_path, monkeypatch):
    """against(ORDER): the comparison with that engine; ORDER 1 oldest first, -1 newest first."""
    path = tmp_path / "w1.bin"
    workload_maker.write("w1", path, 3_000)

    def run(order):
        monkeypatch.setenv("WIREMATCH_CACHE", str(tmp_path))
        monkeypatch.setattr(rivals, "PACKAGES", {"lightmatchingengine": "lightmatchingengine==1.0",
                                                 "litebook": "litebook==0.0"})
        monkeypatch.setattr(rivals, "_python", lambda folder: sys.executable)
        for requirement in rivals.PACKAGES.values():
            (tmp_path / "rivals" / requirement / "lightmatchingengine").mkdir(parents=True)
        (tmp_path / "rivals" / "lightmatchingengine==1.0" / "lightmatchingengine"
         / "lightmatchingengine.py").write_text(f"ORDER = {order}\n{ENGINE}")
        return rivals.compare(path, 3_000)

    return run


def test_engine_with_the_same_trades_is_equal_and_a_missing_one_named(against, tmp_path):
    table = against(1)
    ours, theirs = table["engines"]
    assert (ours["engine"], theirs["engine"]) == ("wirematch", "lightmatchingengine")
    assert ours["verdict"] == theirs["verdict"] == "trades equal"
    assert theirs["messages"] == 3_000 and 0 < theirs["ns"]["p50"] <= theirs["ns"]["p99.9"]
    assert "No module named 'litebook'" in table["skipped"]["litebook 0.0"]
    said = rivals.text(table)
    assert "lightmatchingengine 1.0" in said and "left out: exit code 1: ModuleNotFound" in said
    pytest.importorskip("matplotlib")
    rivals.draw(table, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_engine_with_other_trades_is_not_equal(against):
    theirs = against(-1)["engines"][1]
    assert "trades" in theirs["verdict"] and theirs["verdict"] != "trades equal"


def test_picture_is_of_a_comparison(capsys):
    with pytest.raises(SystemExit):
        core.main(["--picture", "x.png"])
    assert "give --against too" in capsys.readouterr().err


def test_left_out_operations_are_not_played(tmp_path):
    records, _, _ = workload_maker.make("w1", 5_000)
    records.tofile(tmp_path / "w1.bin")
    rows = rival_engines.read(tmp_path / "w1.bin", 4_000, ("reduce",))
    assert len(rows) == int((records[:4_000]["op"] != rival_engines.REDUCE).sum())
    assert rows[0][1] == 1 and all(row[0] != rival_engines.REDUCE for row in rows)


def test_every_package_has_an_adapter_and_every_adapter_a_package():
    assert rivals.PACKAGES.keys() == rival_engines.ENGINES.keys()
    for engine, adapter in rival_engines.ENGINES.items():
        assert hasattr(adapter, "reduce") or "reduce" in rival_engines.leaves_out(engine)
        assert rival_engines.tells_trades(engine) == hasattr(adapter, "trades")

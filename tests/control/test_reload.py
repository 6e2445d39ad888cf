"""SIGHUP: what may change live, what needs a restart, and that nothing changes by halves."""

import signal

import pytest

from appliance.config.load import load
from appliance.control import reload
from tests.control.test_run import start  # noqa: F401  a fixture

pytestmark = pytest.mark.alone

MAIN = """\
name = "wm-reload"
symbols_file = "symbols.toml"
accounts_file = "accounts.toml"
[interface]
name = "lo"
ip = "127.0.0.1"
mode = "socket"
[supervision]
late_ms = {late}
"""
SYMBOLS = '[[symbols]]\nname = "ACME"\nreference_price = {price}\n'
ACCOUNT = '[[accounts]]\nname = "{name}"\npassword = "{password}"\nsources = [{sources}]\n'
SOURCES = '"10.0.0.1", "10.0.0.2"'


def config(folder, late=100, price=10_000, accounts=(("A1", "pw1", SOURCES), ("B2", "pw2", ""))):
    (folder / "main.toml").write_text(MAIN.format(late=late))
    (folder / "symbols.toml").write_text(SYMBOLS.format(price=price))
    (folder / "accounts.toml").write_text("".join(
        ACCOUNT.format(name=name, password=password, sources=sources)
        for name, password, sources in accounts))
    return load(folder / "main.toml")


def test_thresholds_passwords_and_known_sources_change_live(tmp_path):
    old = config(tmp_path)
    new = config(tmp_path, late=150, accounts=(("A1", "other", SOURCES),
                                               ("B2", "pw2", '"10.0.0.2"')))
    live, restart = reload.compare(old, new)
    assert restart == [] and live == [
        "accounts[A1].password: (not shown) -> (not shown)",
        "accounts[B2].sources: [] -> ['10.0.0.2']", "supervision.late_ms: 100 -> 150"]


@pytest.mark.parametrize(("more", "words"), [
    ({"price": 20_000}, "symbols[ACME].reference_price: 10000 -> 20000"),
    ({"accounts": (("A1", "pw1", SOURCES), ("B2", "pw2", ""), ("C3", "pw3", ""))},
     "accounts[C3].name: none -> 'C3'"),
    ({"accounts": (("B2", "pw2", ""), ("A1", "pw1", SOURCES))}, "accounts in order: ['A1', 'B2']"),
    ({"accounts": (("A1", "pw1", SOURCES), ("B2", "pw2", '"10.0.0.9"'))},
     "accounts[B2].sources: [] -> ['10.0.0.9']")])
def test_what_lies_in_shared_memory_needs_a_restart(tmp_path, more, words):
    live, restart = reload.compare(config(tmp_path), config(tmp_path, **more))
    assert any(line.startswith(words) for line in restart)
    assert not any("pw3" in line for line in [*live, *restart])          # no secrets


@pytest.mark.slow
def test_a_running_appliance_takes_over_all_or_nothing(start):  # noqa: F811
    running = start()
    running.ready(0)
    accounts = running.config.with_name("accounts.toml")
    good = accounts.read_text()
    accounts.write_text(good.replace("pw-A1", "fresh"))
    running.process.send_signal(signal.SIGHUP)
    content = running.until(lambda found: found["reload"] and found, 30)
    assert content["reload"] == {"done": True, "changes": [
        "accounts[A1].password: (not shown) -> (not shown)"]}
    digest = content["config_digest"]
    assert running.login(b"TOKEN00001", password=b"fresh")[22:23] == b"A"

    main = running.config.read_text()
    running.config.write_text(main + "[supervision]\nlate_mss = 3\n")
    accounts.write_text(good.replace("pw-A2", "fresh"))
    running.process.send_signal(signal.SIGHUP)
    content = running.until(lambda found: not found["reload"]["done"] and found, 30)
    assert content["config_digest"] == digest
    assert any("late_mss: unknown key" in line
               for line in content["reload"]["changes"])
    assert [row["kind"] for row in content["alarms"] if row["kind"] == "reload-refused"]
    assert "reload-refused" in running.log.read_text()
    assert running.login(b"TOKEN00002", b"A2", b"pw-A2")[22:23] == b"A"        # the old password

    running.config.write_text(main.replace("max_pages = 32", "max_pages = 31"))
    running.process.send_signal(signal.SIGHUP)
    content = running.until(lambda found: any(
        line.startswith("needs a restart: ") for line in found["reload"]["changes"]) and found, 30)
    assert content["config_digest"] == digest and content["state"] == "running"

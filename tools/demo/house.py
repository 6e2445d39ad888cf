"""The appliance of a demo: its config files, its processes, and what it says of itself."""

import json
import os
import signal
import subprocess
import time

READY_S = 600.0              # kernels may have to be compiled first
GAP_HOLD_US = 200_000        # a lost order is waited for: this sender answers gap requests
# Everybody sends from one address here; the guard counts and has nothing to refuse.
GUARD = {"flood_rate": 20_000_000, "flood_burst": 20_000_000}
PACED = 20_000               # orders of the latency pass, were they all on one partition
ANSWER_BYTES, FEED_BYTES = 150, 80     # of the acknowledgements and the feed for one order message


def _toml(values: dict) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def _tables(name: str, rows) -> str:
    return "".join(f"\n[[{name}]]\n{_toml(row)}" for row in rows)


def capacity(material) -> dict:
    """[capacity] for the orders of a demo and its latency pass, as small as holds every message.

    A partition's pages have room for every UserRefNum (a page goes back only when all of it is
    over, so all may be needed) and its streams and feed for all that its busiest day can say. Two
    partitions of the demo's own flow take 0.5 GB together.
    """
    sessions, most = len(material.sessions), max(lane.messages for lane in material.lanes) + PACED
    makes = max(lane.makes for lane in material.lanes) + PACED
    return {"pages": max(256, makes // 256 + 2 * sessions),
            "chunks": max(128, most * ANSWER_BYTES // 65536 + 2 * sessions),
            "feed_bytes": _power(most * FEED_BYTES, 24), "feed_messages": _power(2 * most, 16)}


def _power(number, lowest):
    """The power of two from `number` on, 2 ** lowest at least."""
    return 1 << max(lowest, int(number - 1).bit_length())


def write_config(scene, settings, mode: str, accounts, *, partitions=1, layout="auto",
                 sizes=None, metrics="") -> str:
    """Writes the three files of the config into the scene's folder; the main one's path.

    accounts: (name, anything, (ip, port)) of each account. sizes: keys of [capacity].
    metrics: where the numbers are shown.
    """
    folder = scene.folder
    (folder / "symbols.toml").write_text(_tables("symbols", settings["symbols"]))
    people = [row | {"sources": [source[0]]}
              for row, (_, _, source) in zip(settings["accounts"], accounts, strict=True)]
    (folder / "accounts.toml").write_text(_tables("accounts", people))
    path = folder / "wirematch.toml"
    path.write_text(
        _toml({"name": "demo", "runtime_dir": str(scene.runtime), "symbols_file": "symbols.toml",
               "accounts_file": "accounts.toml"})
        + "\n[interface]\n" + _toml({"name": scene.interface, "ip": scene.ip, "mode": mode})
        + "\n[orders]\n" + _toml({"order_port_base": scene.order_port, "silence_ms": 600_000,
                                  "gap_hold_us": GAP_HOLD_US} | GUARD)
        + "\n[partitions]\n" + _toml({"count": partitions, "layout": layout})
        + "\n[metrics]\n" + _toml({"listen": metrics})
        + "\n[capacity]\n" + _toml(sizes or {}))
    for file in (path, folder / "accounts.toml"):
        os.chmod(file, 0o600)
    return str(path)


class House:
    """A running appliance; `status` is its status file, `stop` ends its day."""

    def __init__(self, scene, config_path):
        self.scene, self.log = scene, open(scene.folder / "appliance.log", "w+")
        self.started, self.asked = time.monotonic(), False
        (scene.runtime / "status.json").unlink(missing_ok=True)     # of one that was killed there
        self.process = scene.run_appliance(["run", "--config", config_path], stdout=self.log,
                                           stderr=self.log, stdin=subprocess.DEVNULL)

    @property
    def status(self) -> dict:
        """The status file's content, {} while there is none."""
        try:
            return json.loads((self.scene.runtime / "status.json").read_text())
        except (OSError, json.JSONDecodeError):
            return {}

    def fresh_status(self, patience_s: float = 3.0) -> dict:
        """The status as written after this call (it is written about once a second)."""
        path, now = self.scene.runtime / "status.json", time.time()
        until = now + patience_s
        while time.time() < until and path.exists() and path.stat().st_mtime <= now:
            time.sleep(0.02)
        return self.status

    @property
    def channel(self):
        """Path of the channel file."""
        return self.scene.runtime / "channel.json"

    def words(self) -> str:
        """What the appliance printed so far."""
        with open(self.log.name) as text:
            return text.read()

    def wait_ready(self) -> float:
        """Seconds until every process was ready. RuntimeError with its words when it ended."""
        while time.monotonic() - self.started < READY_S:
            if self.status.get("state") == "running":
                return time.monotonic() - self.started
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"the appliance did not become ready:\n{self.words().strip()}")

    def end_day(self) -> None:
        """Asks it to close the day and stop; returns at once."""
        if not self.asked and self.process.poll() is None:
            self.asked = True                     # a second signal would end it in a hurry
            self.process.send_signal(signal.SIGTERM)

    def stop(self, patience_s: float = 30.0) -> int:
        """Waits for its end; its exit code. The second signal ends it at once."""
        self.end_day()
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(10.0)
        self.log.close()
        return code

"""A running appliance with a journal whose accounts have limits of their own, and a drop copy."""

import os
import signal
import time

from tests.end_to_end.place import SMALL, Place
from tools.demo import house

COPY, COPY_PASSWORD = "DROP1", "dropped"


class Limited(Place):
    """accounts: index -> keys of that account. The accounts 0 and 1 are of the firm ONE, of which
    there is a drop copy; account 2 is of another."""

    def __init__(self, folder, accounts, level="process", **more):
        extra = (f'[durability]\nlevel = "{level}"\ndirectory = "{folder}"\nsegment_mb = 2\n')
        super().__init__("native", more.pop("orders", None), sizes=SMALL, extra=extra, **more)
        self.limits = accounts

    def _edit(self, path):
        super()._edit(path)
        people = self.scene.folder / "accounts.toml"
        text = people.read_text()
        for idx, limits in self.limits.items():
            name = f'name = "ACC{idx}"\n'
            assert text.count(name) == 1
            for key, value in limits.items():
                lines = [line for line in text.split(name)[1].splitlines()[:8]
                         if line.startswith(f"{key} = ")]
                text = text.replace(f"{name}", f"{name}{key} = {value}\n") if not lines else \
                    self._changed(text, name, lines[0], f"{key} = {value}")
        for idx in (0, 1):
            text = text.replace(f'firm = "FRM{idx}"', 'firm = "ONE"')
        people.write_text(text + f'\n[[drop_copies]]\nname = "{COPY}"\npassword = '
                          f'"{COPY_PASSWORD}"\nfirm = "ONE"\n'
                          f'sources = ["{self.scene.market_ip}"]\n')

    @staticmethod
    def _changed(text, name, old, new):
        before, after = text.split(name)
        return before + name + after.replace(old, new, 1)

    # -- who dies ---------------------------------------------------------------------------------

    def kill(self, name):
        """kill -9 of a process; waits for its successor."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        self.until(lambda content: any(
            row["name"] == name and row["pid"] != pid and row["ready_s"]
            for row in content["processes"]) and content["partitions"][0]["state"] == "ready", 60.0)

    def kill_all(self):
        """kill -9 of the launcher and everything that it started; then it is started again."""
        pids = [row["pid"] for row in self.house.status["processes"]]
        for pid in (self.house.process.pid, *pids):
            os.kill(pid, signal.SIGKILL)
        self.house.process.wait()
        self.house.log.close()
        self.start_again()

    def start_again(self):
        """After the end of all its processes."""
        self.house = house.House(self.scene, self.config_path)
        self.house.wait_ready()

    def alarm(self, kind):
        """The text of an alarm, once it is there."""
        return self.until(lambda content: next(
            (row["text"] for row in content["alarms"] if row["kind"] == kind), None))

    def live_orders(self, count, patience_s=20.0):
        """Waits until there are so many."""
        self.until(lambda content: content["partitions"][0]["live_orders"] == count, patience_s)


def poll(session, seconds):
    """Everything that comes in that time."""
    until, found = time.monotonic() + seconds, []
    while time.monotonic() < until:
        found += session.poll(0.02)
    return found

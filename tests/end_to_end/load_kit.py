"""Participants that trade without pause, one process a partition: the load of the kill campaigns.

    load = Load(place, partition, account, price)      load.answered is live; it trades by itself
    load = Load(..., pace=3000)      at most so many orders a second, what was late is made up for
    load.stop()                      what happened to every order, by instance of the partition

A participant buys and sells in turn at one price, so that each pair trades, with at most WINDOW
orders under way. It loses nothing by itself: every order must be accepted and executed, in order,
unless its partition began a new instance meanwhile, which is told apart in the report.
"""

import json
import multiprocessing
import os
import signal
import time

import numpy as np

from appliance.client.channel import load as load_channel
from appliance.client.orders import LoginError, OrderSession
from appliance.native import lib

WINDOW, QUANTITY = 32, 10
DRAIN_S, RETRY_S = 60.0, 0.05
ANSWERED, INSTANCES, UP, STOP = range(4)


class Participant:
    """The process's side: one account, one partition, instance after instance."""

    def __init__(self, channel, partition, name, password, ip, symbol, price, pace, shown):
        self.channel, self.partition = channel, partition
        self.name, self.password, self.ip = name, password, ip
        self.symbol, self.price, self.pace, self.shown = symbol, price, pace, shown
        self.rows = []

    def run(self):
        """Trades until it is told to stop; a row for every instance it traded with."""
        while not self.shown[STOP]:
            try:
                part = load_channel(self.channel).partitions[self.partition]
                if self.rows and part.instance == self.rows[-1]["instance"]:
                    time.sleep(RETRY_S)
                    continue
                with OrderSession(part, self.name, self.password, bind=(self.ip, 0),
                                  heartbeat_s=0.2) as session:
                    session.login(0, timeout=3.0)
                    session.resume()
                    self._trade(session, part.instance)
            except (LoginError, OSError, ValueError):
                time.sleep(RETRY_S)              # the partition is between two instances

    def _trade(self, session, instance):
        row = {"instance": instance, "entered": 0, "accepted": 0, "rejected": 0, "executed": 0,
               "whole": False, "missing": 0}
        self.rows.append(row)
        self.shown[INSTANCES], self.shown[UP] = len(self.rows), 1
        looked = begun = time.monotonic()
        while not self.shown[STOP]:
            due = row["entered"] + 1 if self.pace == 0 else \
                (time.monotonic() - begun) * self.pace
            if row["entered"] - row["accepted"] - row["rejected"] < WINDOW \
                    and row["entered"] < due:
                side = "BS"[row["entered"] % 2]
                session.enter(side, QUANTITY, self.symbol, self.price)
                row["entered"] += 1
                self._count(row, session.poll(0.0))
            else:
                self._count(row, session.poll(0.01 if self.pace == 0 else 0.001))
            if time.monotonic() - looked > 0.1:
                looked = time.monotonic()
                if self._is_over(instance):
                    self.shown[UP] = 0
                    return
        if row["entered"] % 2:
            session.enter("S", QUANTITY, self.symbol, self.price)
            row["entered"] += 1
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline and (
                row["accepted"] + row["rejected"] < row["entered"]
                or row["executed"] < row["entered"] * QUANTITY):
            self._count(row, session.poll(0.02))
        row["whole"] = row["accepted"] == row["entered"]
        row["missing"] = session.stream.missing()

    def _is_over(self, instance):
        try:
            return load_channel(self.channel).partitions[self.partition].instance != instance
        except (OSError, ValueError):
            return False

    def _count(self, row, records):
        for record in records:
            if record.letter == "A":
                row["accepted"] += 1
            elif record.letter == "J":
                row["rejected"] += 1
            elif record.letter == "E":
                row["executed"] += record.quantity
        self.shown[ANSWERED] += len(records)


class Load:
    """The test's side of a Participant in a process of its own."""

    def __init__(self, place, partition, account, price, pace=0):
        context = multiprocessing.get_context("fork")
        self.shown, self.place = context.RawArray("q", 8), place
        self.path = place.scene.folder / f"load-{partition}-{account}.json"
        name, password = place.person(account)
        with place.scene.market():
            self.process = context.Process(target=_run, daemon=True, args=(
                str(place.house.channel), partition, name, password, place.scene.market_ip,
                place.symbol(partition), price, pace, self.shown, str(self.path)))
            self.process.start()
        self.report = []

    @property
    def answered(self) -> int:
        """Acknowledgements heard so far."""
        return int(self.shown[ANSWERED])

    @property
    def instances(self) -> int:
        """Instances of the partition it has traded with."""
        return int(self.shown[INSTANCES])

    @property
    def is_trading(self) -> bool:
        """Whether it is logged in with the present instance, as far as it knows."""
        return bool(self.shown[UP])

    def stop(self) -> list:
        """Ends the participant after its last answers; its report. Again: the same one."""
        if self.report:
            return self.report
        self.shown[STOP] = 1
        self.process.join(DRAIN_S + 20)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.report = json.loads(self.path.read_text()) if self.path.exists() else []
        return self.report


def _run(channel, partition, name, password, ip, symbol, price, pace, shown, path):
    lib.wm_die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    participant = Participant(channel, partition, name, password, ip, symbol, price, pace,
                              np.frombuffer(shown, np.int64))
    participant.run()
    with open(path, "w") as file:
        json.dump(participant.rows, file)
    os._exit(0)

"""The channel file: where each partition's orders, feeds and re-requests are, and its symbols.

The appliance writes it when it starts and when a partition gets a new instance: load it again for
a new OrderSession after a restart, since session names change with the instance.
"""

import json
from dataclasses import dataclass
from pathlib import Path


class ChannelError(ValueError):
    """The channel file cannot be used; the text says which file, what is wrong and what to do."""


@dataclass(frozen=True)
class Partition:
    """One partition as its participants see it.

    Orders go to UDP ip:order_port; the feeds come as UDP multicast to group_a:feed_port and
    group_b:feed_port; re-requests go to rerequest_ip:rerequest_port, and snapshots are had at
    ip:glimpse_port (TCP). feed_session: session name of the feed. symbols: name -> (locate, tick
    size x 10,000, lot size in shares); sessions: account -> session name of its orders.
    """

    number: int
    instance: int
    ip: str
    order_port: int
    group_a: str
    group_b: str
    feed_port: int
    rerequest_ip: str
    rerequest_port: int
    feed_session: str
    symbols: dict
    sessions: dict
    glimpse_port: int = 0


@dataclass(frozen=True)
class Channel:
    """The whole file: name of the appliance, day of the year, partitions in order."""

    name: str
    day: int
    partitions: tuple

    def partition_of(self, symbol: str) -> Partition:
        """The partition that trades `symbol`; ChannelError names those that exist."""
        for partition in self.partitions:
            if symbol in partition.symbols:
                return partition
        known = sorted(name for p in self.partitions for name in p.symbols)
        raise ChannelError(f"symbol {symbol!r} is in no partition of {self.name}; there are: "
                           f"{', '.join(known[:20])}{' ...' if len(known) > 20 else ''}")


def load(path) -> Channel:
    """Reads a channel file. ChannelError when it is missing, not JSON, or lacks a key."""
    try:
        return parse(json.loads(Path(path).read_text()))
    except OSError as error:
        raise ChannelError(f"channel file {path}: {error.strerror}; the appliance writes it when "
                           "it starts (<runtime_dir>/channel.json)") from error
    except ChannelError as error:
        raise ChannelError(f"channel file {path}: {error}") from error
    except ValueError as error:
        raise ChannelError(f"channel file {path} is no JSON: {error}") from error


def parse(content: dict) -> Channel:
    """A Channel from the file's content. ChannelError when a key is missing or of another form."""
    try:
        return Channel(content["name"], content["day"], tuple(
            Partition(p["partition"], p["instance"], content["ip"], p["order_port"], p["group_a"],
                      p["group_b"], p["feed_port"], p["rerequest_ip"], p["rerequest_port"],
                      p["feed_session"],
                      {s["name"]: (s["locate"], s["tick_size"], s["lot_size"])
                       for s in p["symbols"]},
                      dict(p["sessions"]), p["glimpse_port"])
            for p in content["partitions"]))
    except KeyError as error:
        raise ChannelError(f"the key {error} is missing; was it written by another version?"
                           ) from error
    except (TypeError, ValueError) as error:
        raise ChannelError(f"it is not laid out as a channel file ({error}); was it written by "
                           "another version?") from error

"""Stages of `configure` about the network card: queues, rings, offloads, steering, interrupts,
and what it can do. All by ethtool(8), whose words are read as they are; the driver's XDP features
by the kernel's netlink family `netdev` (6.3)."""

import re
import socket
import struct

from .cores import parse_list
from .machine import GOOD, NONE, UNSEEN, WRONG, Change, Item, Machine, Wants

OFFLOADS = (
    ("gro", "generic-receive-offload", "the kernel holds datagrams back to join them: later, and "
     "in superframes where XDP is generic"),
    ("lro", "large-receive-offload", "the card joins frames; drivers refuse XDP with it"),
    ("tso", "tcp-segmentation-offload", "TCP answers leave in bursts that the feed waits behind"),
    ("rxvlan", "rx-vlan-offload", "the card takes VLAN tags off before the steering program can "
     "see and count them"))
XDP_BASIC, XDP_REDIRECT, XDP_ZEROCOPY = 1, 2, 8
_GENERIC, _CTRL_ID, _GETFAMILY, _DEV_GET = 16, 0x10, 3, 1


def devices(wants: Wants) -> list[str]:
    """The interfaces of the appliance."""
    return [wants.interface, *([wants.interface_b] if wants.interface_b else [])]


def _pair(text, keys):
    """{key: (maximum, current)} of ethtool -l or -g, for keys with numbers in both parts."""
    most, _, now = text.partition("Current hardware settings:")

    def numbers(part):
        return {key.strip(): int(value) for key, value in
                re.findall(r"^([A-Za-z ]+):\s*(\d+)", part, re.M)}
    most, now = numbers(most), numbers(now)
    return {key: (most[key], now[key]) for key in keys if key in most and key in now}


def queues(machine: Machine, wants: Wants) -> list[Item]:
    """Receive queues (channels) of the card."""
    name = wants.interface
    cost = "partitions share one queue, and portd must copy each frame's place to its matcher"
    code, text = machine.tool("ethtool", "-l", name)
    found = _pair(text, ("Combined", "RX")) if code == 0 else {}
    current = sum(now for _, now in found.values())
    if not found:
        return [Item("queues", name, "the driver does not tell (1 is taken)",
                     str(wants.queues), NONE, cost)]
    key = max(found, key=lambda each: found[each][0])
    word, (most, now) = {"Combined": "combined", "RX": "rx"}[key], found[key]
    reaches = most >= wants.queues
    change = Change(do=("ethtool", "-L", name, word, str(wants.queues)),
                    undo=("ethtool", "-L", name, word, str(now))) if reaches else None
    return [Item("queues", name, f"{current} of {most}", f"at least {wants.queues}",
                 GOOD if current >= wants.queues else WRONG, cost,
                 " ".join(change.do) if change else "", False, change)]


def rings(machine: Machine, wants: Wants) -> list[Item]:
    """The card's own receive ring: not smaller than a matcher's receive frames can be."""
    name = wants.interface
    cost = "a short pause of the matcher drops frames in the card, counted there alone"
    code, text = machine.tool("ethtool", "-g", name)
    found = _pair(text, ("RX",)) if code == 0 else {}
    if not found:
        return [Item("rings", name, "the driver has none to set", str(wants.frames), NONE, cost)]
    most, now = found["RX"]
    wanted = min(most, wants.frames)
    change = Change(do=("ethtool", "-G", name, "rx", str(wanted)),
                    undo=("ethtool", "-G", name, "rx", str(now)))
    return [Item("rings", f"{name} receive", f"{now} of {most}", f"at least {wanted}",
                 GOOD if now >= wanted else WRONG, cost, " ".join(change.do), False, change)]


def offloads(machine: Machine, wants: Wants) -> list[Item]:
    """Offloads that join or change frames, off."""
    rows = []
    for name in devices(wants):
        code, text = machine.tool("ethtool", "-k", name)
        found = dict(re.findall(r"^\s*([a-z0-9-]+): (.+)$", text, re.M)) if code == 0 else {}
        for short, full, cost in OFFLOADS:
            value = found.get(full, "")
            word, fixed = value.split(" ")[0], "[fixed]" in value
            if not word or fixed and word == "on":
                rows.append(Item("offloads", f"{name} {short}", value or "the driver does not tell",
                                 "off", NONE, cost))
                continue
            change = Change(do=("ethtool", "-K", name, short, "off"),
                            undo=("ethtool", "-K", name, short, "on"))
            rows.append(Item("offloads", f"{name} {short}", word, "off",
                             GOOD if word == "off" else WRONG, cost, " ".join(change.do),
                             change=change))
    return rows


def steering(machine: Machine, wants: Wants) -> list[Item]:
    """ntuple: whether the card takes rules that put a UDP port on a queue."""
    name = wants.interface
    cost = "several partitions share a queue: the card cannot put each one's orders on its own"
    code, text = machine.tool("ethtool", "-k", name)
    value = dict(re.findall(r"^([a-z-]+): (.+)$", text, re.M)).get("ntuple-filters", "")
    word, fixed = value.split(" ")[0], "[fixed]" in value
    wanted = "on" if wants.steering else "not needed"
    if code or not word or fixed and word == "off" or not wants.steering:
        return [Item("steering", f"{name} ntuple", value or "the driver does not tell", wanted,
                     NONE, cost)]
    change = Change(do=("ethtool", "-K", name, "ntuple", "on"),
                    undo=("ethtool", "-K", name, "ntuple", "off"))
    return [Item("steering", f"{name} ntuple", word, wanted, GOOD if word == "on" else WRONG,
                 cost, " ".join(change.do), False, change)]


def irq(machine: Machine, wants: Wants) -> list[Item]:
    """The card's interrupts on other CPUs than the matchers'."""
    rows, rest = [], ",".join(map(str, wants.rest))
    cost = "the card's interrupts and the kernel's packet work take the matcher's core"
    shares = bool(set(wants.matchers) & set(wants.rest)) or not rest
    for name in devices(wants):
        for number in _interrupts(machine, name):
            path = f"/proc/irq/{number}/smp_affinity_list"
            found = machine.read(path)
            if found is None:
                there = machine.path(path).exists()
                rows.append(Item("irq", f"{name} interrupt {number}", "cannot see without root" if
                                 there else "gone", rest, UNSEEN if there else NONE, cost))
                continue
            good = not set(parse_list(found)) & set(wants.matchers)
            state = GOOD if good else NONE if shares else WRONG
            rows.append(Item("irq", f"{name} interrupt {number}", f"CPU {found}",
                             f"CPU {rest}" if not shares else "no CPU is left for it", state, cost,
                             f"echo {rest} > {path}",
                             change=None if shares else Change(path, found, rest)))
    return rows or [Item("irq", wants.interface, "has no interrupt of its own", rest, NONE, cost)]


def _interrupts(machine, name):
    """Numbers of a device's interrupts: by /sys, else by its name in /proc/interrupts."""
    below = machine.names(f"/sys/class/net/{name}/device/msi_irqs") \
        or machine.names(f"/sys/class/net/{name}/device/../msi_irqs")
    if below:
        return below
    return re.findall(rf"^\s*(\d+):.*\b{re.escape(name)}\b",
                      machine.read("/proc/interrupts") or "", re.M)


def features(machine: Machine, wants: Wants) -> list[Item]:
    """What the card and its driver can do."""
    name = wants.interface
    code, text = machine.tool("ethtool", "-i", name)
    driver = dict(re.findall(r"^(\S+): (\S+)$", text, re.M)).get("driver", "") if code == 0 else ""
    found = xdp_features(machine, name)
    shown = f"driver {driver or 'unknown'}"
    rows = []
    for what, bit, mode, cost in (
            ("native XDP", XDP_BASIC | XDP_REDIRECT, "native", "only generic XDP: the kernel makes "
             "and copies a packet first"),
            ("zero copy", XDP_ZEROCOPY, "zero-copy", "each frame is copied once")):
        has = found is not None and found & bit == bit
        state = NONE if found is None else GOOD if has else WRONG
        wanted = "yes" if wants.uses_xdp else "not needed"
        rows.append(Item("nic", f"{name} {what}", shown + (
            ": the kernel does not tell (it can from 6.3 on)" if found is None else
            ": yes" if has else ": no"), wanted, state if wants.uses_xdp else NONE, cost,
            "another card or driver", required=wants.mode == mode and state == WRONG))
    code, text = machine.tool("ethtool", "-T", name)
    hardware = code == 0 and "hardware-receive" in text
    rows.append(Item("nic", f"{name} time stamps", "hardware" if hardware else
                     "software" if code == 0 else "the driver does not tell", "hardware",
                     GOOD if hardware else NONE, "arrival cannot be measured at the wire"))
    return rows


def xdp_features(machine: Machine, name: str) -> int | None:
    """NETDEV_XDP_ACT_* bits of a device, None where the kernel does not tell (before 6.3)."""
    if not machine.is_real:
        text = machine.read(f"commands/xdp-features {name}")
        return None if text is None else int(text, 0)
    try:
        ifindex = socket.if_nametoindex(name)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _GENERIC) as sock:
            sock.settimeout(1.0)
            sock.bind((0, 0))
            found = _ask(sock, _CTRL_ID, _GETFAMILY, 1, struct.pack("<HH7sx", 11, 2, b"netdev\0"))
            family = struct.unpack("<H", found[1][:2])[0]
            found = _ask(sock, family, _DEV_GET, 1, struct.pack("<HHI", 8, 1, ifindex))
            return struct.unpack("<Q", found[3][:8])[0]
    except (OSError, KeyError, struct.error):
        return None


def _ask(sock, family, command, version, attribute):
    """{attribute type: bytes} of the one answer to a generic netlink request; OSError by code."""
    size = 20 + len(attribute)
    sock.send(struct.pack("<IHHIIBBH", size, family, 1, 1, 0, command, version, 0) + attribute)
    data = sock.recv(65536)
    kind = struct.unpack_from("<H", data, 4)[0]
    if kind == 2:                                # NLMSG_ERROR
        raise OSError(-struct.unpack_from("<i", data, 16)[0], "netlink")
    end, at, found = struct.unpack_from("<I", data)[0], 20, {}
    while at + 4 <= end:
        length, number = struct.unpack_from("<HH", data, at)
        found[number & 0x3FFF] = data[at + 4:at + length]
        at += max(4, length + 3 & ~3)
    return found

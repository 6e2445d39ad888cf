"""Interfaces and the sockets of the plain rung: what a device is, and UDP sockets bound to it."""

import array
import fcntl
import ipaddress
import re
import socket
import struct
import subprocess
from dataclasses import dataclass

SIOCGIFADDR, SIOCGIFHWADDR, SIOCGIFMTU, SIOCGIFFLAGS = 0x8915, 0x8927, 0x8921, 0x8913
SIOCETHTOOL, ETHTOOL_GLINK = 0x8946, 0xA
IFF_UP, IFF_RUNNING = 0x1, 0x40
# What a device counts, by its column in /proc/net/dev; rx_dropped has what it missed too.
COUNTERS = {"rx_packets": 1, "rx_errors": 2, "rx_dropped": 3, "tx_packets": 9, "tx_errors": 10,
            "tx_dropped": 11}
IP_MULTICAST_ALL = 49
RTMGRP_LINK = 1
HEADERS_SZ = 28                     # IPv4 without options, and UDP
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32


class NicError(OSError):
    """An interface or socket that cannot be had: what was tried, with which value, what to do."""


@dataclass(frozen=True)
class Interface:
    """One network device as it is now."""

    name: str
    ifindex: int
    mac: bytes          # 6 bytes, zero on loopback
    ip: str             # first IPv4 address, "" when it has none
    mtu: int


def look_up(name: str) -> Interface:
    """The device of that name; NicError names those that exist when there is none."""
    try:
        ifindex = socket.if_nametoindex(name)
    except OSError as error:
        names = ", ".join(n for _, n in socket.if_nameindex())
        raise NicError(f"interface {name!r} does not exist here; choose one of: {names}") from error
    request = struct.pack("256s", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        mac = fcntl.ioctl(probe, SIOCGIFHWADDR, request)[18:24]
        mtu = struct.unpack_from("i", fcntl.ioctl(probe, SIOCGIFMTU, request), 16)[0]
        try:
            ip = socket.inet_ntoa(fcntl.ioctl(probe, SIOCGIFADDR, request)[20:24])
        except OSError:
            ip = ""
    return Interface(name, ifindex, mac, ip, mtu)


def ifindex_of(name: str) -> int:
    """The device's index, 0 when there is none of that name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def is_up(name: str) -> bool:
    """Whether the device is set up and has its carrier.

    The carrier is asked of the driver: IFF_RUNNING follows it up to a second later, and says what
    it can only for a driver that does not answer.
    """
    request = struct.pack("256s", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            flags = struct.unpack_from("H", fcntl.ioctl(probe, SIOCGIFFLAGS, request), 16)[0]
        except OSError:
            return False
        carrier = _carrier(probe, name) if flags & IFF_UP else False
    return bool(flags & IFF_UP and (flags & IFF_RUNNING if carrier is None else carrier))


def _carrier(probe, name):
    """The driver's word on its carrier, None when it has none."""
    answer = array.array("I", (ETHTOOL_GLINK, 0))
    request = struct.pack("16sP16x", name.encode()[:15], answer.buffer_info()[0])
    try:
        fcntl.ioctl(probe, SIOCETHTOOL, request)
    except OSError:
        return None
    return bool(answer[1])


def device_news() -> socket.socket:
    """Readable when a device of this namespace comes, goes or changes; rtnetlink(7)."""
    news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK,
                         socket.NETLINK_ROUTE)
    news.bind((0, RTMGRP_LINK))
    return news


def counters(name: str) -> dict[str, int]:
    """The device's own COUNTERS, in frames; zeros when there is none of that name here."""
    with open("/proc/self/net/dev", encoding="ascii") as file:
        for line in file:
            head, _, values = line.partition(":")
            if head.strip() == name:
                columns = [int(value) for value in values.split()]
                return {key: columns[column] for key, column in COUNTERS.items()}
    return dict.fromkeys(COUNTERS, 0)


def queue_count(name: str) -> int:
    """Receive queues of a device of this network namespace (/sys may show another one's).

    1 where ethtool is not there or the driver does not tell.
    """
    try:
        done = subprocess.run(["ethtool", "-l", name], capture_output=True, text=True, check=False)
    except OSError:
        return 1
    current = done.stdout.partition("Current hardware settings:")[2]
    numbers = {key: int(value) for key, value in
               re.findall(r"^(RX|Combined):\s*(\d+)$", current, re.MULTILINE)}
    return sum(numbers.values()) or 1


def add_rule(name: str, ip: str, udp_port: int, queue: int) -> int:
    """Lets the card put datagrams to (ip, udp_port) on a receive queue; the rule's number.

    NicError where the card has no such rules (ntuple).
    """
    command = ["ethtool", "-N", name, "flow-type", "udp4", "dst-ip", ip, "dst-port",
               str(udp_port), "action", str(queue)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NicError(f"{' '.join(command)}: {error.strerror}") from error
    found = re.search(r"ID (\d+)", done.stdout)
    if done.returncode or not found:
        raise NicError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return int(found.group(1))


def remove_rule(name: str, rule: int) -> None:
    """Takes a rule of `add_rule` away; nothing when it is gone."""
    subprocess.run(["ethtool", "-N", name, "delete", str(rule)], capture_output=True, check=False)


def take_program_off(name: str) -> None:
    """Takes an XDP program off a device that was put there without a link; nothing when none is."""
    subprocess.run(["ip", "link", "set", "dev", name, "xdp", "off"], capture_output=True,
                   check=False)


def multicast_mac(group: str) -> bytes:
    """The Ethernet address of an IPv4 multicast group (RFC 1112, 6.4)."""
    low = int(ipaddress.IPv4Address(group)) & 0x7FFFFF
    return b"\x01\x00\x5e" + low.to_bytes(3, "big")


def order_socket(ip: str, udp_port: int, receive_bytes: int = 1 << 25) -> socket.socket:
    """A UDP socket bound to the order port, with a large receive buffer where rights allow it."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    _buffer(sock, SO_RCVBUFFORCE, socket.SO_RCVBUF, receive_bytes)
    _buffer(sock, SO_SNDBUFFORCE, socket.SO_SNDBUF, receive_bytes)
    try:
        sock.bind((ip, udp_port))
    except OSError as error:
        sock.close()
        raise NicError(f"binding UDP {ip}:{udp_port} failed ({error.strerror}); is interface.ip an "
                       "address of this machine, and the port free (ss -ulpn)? else choose another "
                       "orders.order_port_base or feed.rerequest_port_base") from error
    sock.setblocking(False)
    return sock


def stream_listener(ip: str, tcp_port: int) -> socket.socket:
    """A TCP socket that listens on a port; a start right after an end finds it free."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((ip, tcp_port))
        sock.listen(64)
    except OSError as error:
        sock.close()
        raise NicError(f"listening on TCP {ip}:{tcp_port} failed ({error.strerror}); is the port "
                       "free (ss -tlnp)? else choose another orders.order_port_base or "
                       "feed.glimpse_port_base") from error
    sock.setblocking(False)
    return sock


def multicast_socket(ip: str, ttl: int, send_bytes: int = 1 << 25) -> socket.socket:
    """A UDP socket that sends to groups out of the interface with this address."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    _buffer(sock, SO_SNDBUFFORCE, socket.SO_SNDBUF, send_bytes)
    leave_by(sock, ip)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    sock.bind((ip, 0))
    sock.setblocking(False)
    return sock


def feed_socket(name: str, ttl: int) -> tuple[socket.socket, str]:
    """(a multicast socket of the interface of that name, the address it leaves from); NicError when
    the interface is not there or has no IPv4 address."""
    ip = look_up(name).ip
    if not ip:
        raise NicError(f"interface {name!r} has no IPv4 address to send from; give it one: "
                       f"ip addr add ADDRESS/LENGTH dev {name}")
    return multicast_socket(ip, ttl), ip


def check_payload(name: str, payload: int) -> None:
    """NicError when UDP payloads of that many bytes do not fit the interface's MTU."""
    mtu = look_up(name).mtu
    if payload + HEADERS_SZ > mtu:
        raise NicError(f"interface.payload = {payload} needs an MTU of {payload + HEADERS_SZ}, "
                       f"{name} has {mtu}; lower it to {mtu - HEADERS_SZ}, or raise the MTU here "
                       f"and on the whole way to the participants: ip link set {name} mtu "
                       f"{payload + HEADERS_SZ}")


def leave_by(sock: socket.socket, ip: str) -> None:
    """Groups leave by the interface that has this address now; also after it was made anew."""
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(ip))


def join(group: str, udp_port: int, ip: str, receive_bytes: int = 1 << 26) -> socket.socket:
    """A socket that receives one group on the interface with this address, and no other group."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
    _buffer(sock, SO_RCVBUFFORCE, socket.SO_RCVBUF, receive_bytes)
    sock.bind((group, udp_port))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                    socket.inet_aton(group) + socket.inet_aton(ip))
    return sock


def _buffer(sock, forced, plain, size):
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, size)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, plain, size)

"""Network namespaces without names: they live as long as a descriptor of them, so nothing stays
behind when the process that made them dies, however it dies.

    with Namespace() as appliance, Namespace() as peer:
        veth_pair(appliance, "wm0", "10.77.0.1", peer, "wm1", "10.77.0.2")
        with appliance.entered():  ...      # this thread's sockets are made inside
        peer.run("ip", "addr")              # a command inside
"""

import contextlib
import os
import socket
import subprocess
import sys

from appliance.native import check, lib

_SELF = "/proc/thread-self/ns/net"


class Namespace:
    """One network namespace with loopback up. `path` names it for other tools while it is open."""

    def __init__(self):
        home = os.open(_SELF, os.O_RDONLY | os.O_CLOEXEC)
        try:
            check(lib.wm_new_network_namespace(), "making a network namespace", "it needs root")
            self.fd = os.open(_SELF, os.O_RDONLY | os.O_CLOEXEC)
            check(lib.wm_enter_namespace(home), "returning to the own network namespace")
        finally:
            os.close(home)
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self.run("ip", "link", "set", "lo", "up")

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.close()

    def close(self) -> None:
        """Lets go of the namespace; the kernel removes it with everything inside."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is inside for the length of the block."""
        home = os.open(_SELF, os.O_RDONLY | os.O_CLOEXEC)
        try:
            check(lib.wm_enter_namespace(self.fd), "entering a network namespace", "it needs root")
            try:
                yield self
            finally:
                check(lib.wm_enter_namespace(home), "returning to the own network namespace")
        finally:
            os.close(home)

    def run(self, *command: str) -> str:
        """Runs a command inside; its output, or RuntimeError with what it said."""
        done = subprocess.run(["nsenter", f"--net={self.path}", *command], capture_output=True,
                              text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def popen(self, *command: str, **options) -> subprocess.Popen:
        """Starts a command inside."""
        return subprocess.Popen(["nsenter", f"--net={self.path}", *command], **options)

    def ifindex(self, device: str) -> int:
        """The index of a device inside."""
        with self.entered():
            return socket.if_nametoindex(device)


def mac_of(ip: str) -> str:
    """The MAC address veth_pair gives to the end with this address."""
    return "02:00:" + ":".join(f"{int(part):02x}" for part in ip.split("."))


def veth_pair(left: Namespace, left_name: str, left_ip: str,
              right: Namespace, right_name: str, right_ip: str, queue_cnt: int = 1) -> None:
    """A veth pair between two namespaces: fixed MACs, permanent neighbours, no offloads (a frame
    on the wire is complete then, with its checksum), multicast routed to the device."""
    link_pair(left, left_name, right, right_name, queue_cnt)
    settle(left, left_name, left_ip, right_ip)
    settle(right, right_name, right_ip, left_ip)


def link_pair(left: Namespace, left_name: str, right: Namespace, right_name: str,
              queue_cnt: int = 1) -> None:
    """A bare veth pair without offloads, both ends down and without addresses."""
    queues = ("numrxqueues", str(queue_cnt), "numtxqueues", str(queue_cnt))
    left.run("ip", "link", "add", left_name, *queues, "type", "veth",
             "peer", "name", right_name, *queues, "netns", right.path)
    for namespace, name in ((left, left_name), (right, right_name)):
        namespace.run("ethtool", "-K", name, "tx", "off", "gro", "off", "gso", "off", "tso", "off")
        namespace.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")


def settle(namespace: Namespace, name: str, ip: str, other_ip: str) -> None:
    """One end's address, MAC and way to the other address; it is up then."""
    namespace.run("sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter=0",
                  "net.ipv4.conf.all.rp_filter=0")
    namespace.run("ip", "link", "set", name, "address", mac_of(ip), "up")
    namespace.run("ip", "addr", "add", f"{ip}/24", "dev", name)
    namespace.run("ip", "neigh", "replace", other_ip, "lladdr", mac_of(other_ip), "dev", name,
                  "nud", "permanent")
    namespace.run("ip", "route", "add", "224.0.0.0/4", "dev", name)


def relayed_pair(left: Namespace, left_name: str, left_ip: str, middle: Namespace,
                 right: Namespace, right_name: str, right_ip: str) -> tuple[str, str]:
    """As veth_pair, but the two ends meet only in `middle`, in the devices returned: whoever
    carries frames between those is the wire."""
    devices = "left", "right"
    for end, name, device in ((left, left_name, "left"), (right, right_name, "right")):
        link_pair(end, name, middle, device)
        middle.run("ip", "link", "set", "dev", device, "up")
    settle(left, left_name, left_ip, right_ip)
    settle(right, right_name, right_ip, left_ip)
    return devices


def why_not() -> str:
    """Why namespaces cannot be used here, or an empty string."""
    if os.geteuid():
        return "network namespaces need root"
    try:
        Namespace().close()
    except (OSError, RuntimeError) as problem:
        return f"network namespaces do not work here: {problem}"
    return ""


if __name__ == "__main__":
    sys.exit(why_not())

"""portd: the one privileged process. It owns the program, the sockets and the UMEM.

    run as    python -m appliance.stages.portd --config FILE --instance N
    it        decides the rung (native AF_XDP, else plain sockets), attaches the XDP program by a
              bpf_link, opens the order and multicast sockets, then serves matchers one after the
              other over <runtime_dir>/portd.sock:

        matcher -> {"op": "open", "partition": p}
        portd   -> {"mode": "native"|"socket", "geometry": [...], ...} + descriptors
        matcher    maps the rings (before the bind: works on every kernel since 5.4)
        matcher -> {"op": "mapped"}
        portd      binds, points the partition's slot at the socket
        portd   -> {"op": "bound", "zero_copy": false}

    When the connection ends, the slot is emptied and the socket closed: frames then fall to the
    plain socket, whose filter accepts nothing while the AF_XDP rung is in use.

The order socket always exists: it keeps the kernel from answering orders with ICMP errors, and it
is the receive side of the socket rung.
"""

import argparse
import os
import selectors
import signal
import socket
import sys

from appliance import notify
from appliance import topology as topo
from appliance.config import load
from appliance.host import nic
from appliance.native import lib
from appliance.shm import region, steer, umem
from appliance.stages import link

EXIT_FAILURE, EXIT_CANNOT_RUN = 1, 77
HOUSEKEEPING_S = 0.1


class Portd:
    """The sockets, program and maps of one interface, and the matcher being served."""

    def __init__(self, topology):
        self.topology, self.config = topology, topology.config
        self.interface = nic.look_up(self.config.interface.name)
        self.ip = self.config.interface.ip or self.interface.ip
        self.steering, self.link_fd, self.mode, self.reason = None, -1, "socket", ""
        self.matchers = {}
        self.counters = region.attach(topology.blocks["port_counters"], write=True)
        self.partition = topology.partitions[0]
        self.order = nic.order_socket(self.ip, self.partition.order_port)
        self.multicast = nic.multicast_socket(self.ip, self.config.feed.ttl)

    def choose_rung(self, wanted: str) -> None:
        """Sets mode; a forced rung that cannot be had raises, auto falls back and says why.

        A UMEM and a socket are made and dropped again as part of the decision: the first matcher
        must not be the one to find out.
        """
        if wanted in ("auto", "native"):
            try:
                self._probe()
                self._attach()
                self.mode = "native"
                return
            except (OSError, RuntimeError, ValueError) as error:
                if wanted == "native":
                    raise
                self.reason = str(error)
        self.mode = "socket"

    def _geometry(self):
        return umem.Geometry(2048, self.config.port.rx_frames, self.config.port.tx_frames)

    def _probe(self):
        geometry = self._geometry()
        fd = umem.create_umem(geometry)
        try:
            xsk_fd = umem.open_xsk(umem.map_umem(fd), geometry)
            try:
                umem.bind_xsk(xsk_fd, self.interface.ifindex, self.config.interface.queue)
            finally:
                os.close(xsk_fd)
        finally:
            os.close(fd)

    def _attach(self):
        """Program on the device, allow-list and addresses in its maps, no socket yet."""
        steering = steer.Steering()
        try:
            for source in self.topology.allowed_sources:
                steering.allow(topo.ip_text(source))
            steering.set_address(self.ip, self.partition.order_port, self.partition.idx)
            self.link_fd = steering.attach(self.interface.ifindex)
        except (OSError, RuntimeError, ValueError):
            steering.close()
            raise
        self.steering = steering

    def open_for(self, connection) -> None:
        """Answers an "open": new UMEM and socket on the native rung, the plain sockets always."""
        if connection in self.matchers:
            raise ValueError("a matcher asked twice for its descriptors")
        fds, reply = [self.order.fileno(), self.multicast.fileno()], {
            "mode": self.mode, "reason": self.reason, "ip": self.ip,
            "mac": self.interface.mac.hex(), "order_port": self.partition.order_port}
        held = {}
        if self.mode == "native":
            geometry = self._geometry()
            held["umem_fd"] = umem.create_umem(geometry)
            held["umem"] = umem.map_umem(held["umem_fd"])
            held["xsk_fd"] = umem.open_xsk(held["umem"], geometry)
            reply["geometry"] = list(geometry)
            fds += [held["umem_fd"], held["xsk_fd"]]
        lib.wm_socket_drop_all(self.order.fileno(), int(self.mode == "native"))
        self.matchers[connection] = held
        link.send(connection, reply, fds)

    def bind_for(self, connection) -> None:
        """Answers "mapped": binds the socket and lets the program redirect to it."""
        if connection not in self.matchers:
            raise ValueError("a matcher said mapped before it had asked for anything")
        held, zero_copy = self.matchers[connection], False
        if self.mode == "native":
            queue = self.config.interface.queue
            umem.bind_xsk(held["xsk_fd"], self.interface.ifindex, queue)
            zero_copy = umem.is_zero_copy(held["xsk_fd"])
            self.steering.bind(self.partition.idx, held["xsk_fd"], self.interface.ifindex, queue)
        link.send(connection, {"op": "bound", "zero_copy": zero_copy})

    def release(self, connection) -> None:
        """The matcher is gone: empty its slot, close its socket, forget its memory."""
        held = self.matchers.pop(connection, {})
        if "xsk_fd" in held:
            self.steering.unbind(self.partition.idx)
            os.close(held["xsk_fd"])
            os.close(held["umem_fd"])
        connection.close()

    def publish(self) -> None:
        """The program's per-reason counters and the AF_XDP statistics, into the shared block."""
        if self.steering is None:
            return
        out, values = self.counters, self.steering.counters()
        out[:len(values)] = list(values.values())
        for held in self.matchers.values():
            if "xsk_fd" in held:
                statistics = umem.xsk_statistics(held["xsk_fd"])
                out[32:32 + len(statistics)] = list(statistics.values())

    def close(self) -> None:
        """Nothing is left: slots emptied, program detached, sockets closed."""
        for connection in list(self.matchers):
            self.release(connection)
        if self.steering is not None:
            os.close(self.link_fd)
            self.steering.close()
        self.order.close()
        self.multicast.close()


def serve(portd: Portd, path: str) -> None:
    """Answers matchers until SIGTERM; housekeeping every 100 ms."""
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(1))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(8)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while not stopping:
        for key, _ in selector.select(HOUSEKEEPING_S):
            if key.fileobj is listener:
                connection, _ = listener.accept()
                selector.register(connection, selectors.EVENT_READ)
                continue
            try:
                message, _ = link.receive(key.fileobj)
                if message.get("op") == "open":
                    portd.open_for(key.fileobj)
                elif message.get("op") == "mapped":
                    portd.bind_for(key.fileobj)
                else:
                    selector.unregister(key.fileobj)
                    portd.release(key.fileobj)
            except (OSError, ValueError) as error:
                print(f"portd: {error}", file=sys.stderr, flush=True)
                selector.unregister(key.fileobj)
                portd.release(key.fileobj)
        portd.publish()
    listener.close()
    os.unlink(path)


def main(arguments=None) -> int:
    """Exit codes: 0 stopped, 1 failure, 77 the forced rung cannot be had here."""
    parser = argparse.ArgumentParser(prog="appliance.stages.portd")
    parser.add_argument("--config", required=True)
    parser.add_argument("--instance", type=int, default=0)
    options = parser.parse_args(arguments)
    lib.wm_die_with_parent(signal.SIGTERM)
    topology = topo.build(load.thaw(options.config), instance=options.instance)
    try:
        portd = Portd(topology)
    except (OSError, region.RegionError) as error:
        print(f"portd: {error}", file=sys.stderr, flush=True)
        return EXIT_FAILURE
    try:
        portd.choose_rung(topology.config.interface.mode)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"portd: mode = {topology.config.interface.mode!r} cannot be had: {error}",
              file=sys.stderr, flush=True)
        return EXIT_CANNOT_RUN
    if portd.reason:
        print(f"portd: falling back to plain sockets: {portd.reason}", file=sys.stderr, flush=True)
    notify.ready(f"mode {portd.mode}")
    try:
        serve(portd, str(topology.portd_socket))
    finally:
        portd.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A scene whose wire is the relay: everything between participants and appliance goes through it.

    market (wm1) ---- veth ---- relay ---- veth ---- (wm0) appliance
    there: from the market to the appliance; back: acknowledgements and feeds
"""

from tools import netns
from tools.demo.scene import NamespaceScene
from tools.faults.relay import Relay


class RelayedScene(NamespaceScene):
    """`relay` is there from the start; faults are set and cleared with `relay.set`, `relay.block`.
    """

    def __init__(self, there=None, back=None, seed=1):
        self.middle, self.relay = netns.Namespace(), None
        super().__init__()
        self.relay = Relay(self.middle, self.devices[1], self.devices[0], there, back, seed)

    def _join(self):
        self.devices = netns.relayed_pair(self.appliance, "wm0", self.ip, self.middle,
                                          self.outside, "wm1", self.market_ip)

    def close(self):
        if self.relay is not None and self.relay.fds:
            self.relay.stop()
        super().close()
        self.middle.close()

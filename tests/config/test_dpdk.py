"""[dpdk] of a configuration: what goes together, and what is refused in words."""

import pytest

from appliance.config.load import load
from appliance.config.mistakes import ConfigError

MAIN = """\
symbols_file = "both.toml"
accounts_file = "both.toml"
[interface]
name = "eth0"
ip = "10.0.0.1"
mode = "{mode}"
[partitions]
count = {count}
layout = "{layout}"
[cores]
wait = "{wait}"
[dpdk]
devices = [{devices}]
"""
PACKET, OTHER = "net_af_packet0,iface=eth0", "net_af_packet1,iface=eth0"
XDP, CARD = "net_af_xdp0,iface=eth0,busy_budget=0", "0000:01:00.1"


@pytest.fixture
def read(tmp_path):
    """read(devices, ...) gives the Config."""
    (tmp_path / "both.toml").write_text(
        '[[symbols]]\nname = "ACME"\nreference_price = 100\n'
        '[[accounts]]\nname = "A"\npassword = "x"\nsources = ["10.0.0.2"]\n')

    def make(*devices, count=1, mode="dpdk", layout="auto", wait="auto"):
        path = tmp_path / "main.toml"
        path.write_text(MAIN.format(mode=mode, count=count, layout=layout, wait=wait,
                                    devices=", ".join(f'"{device}"' for device in devices)))
        return load(path)
    return make


@pytest.mark.parametrize("devices", [
    (), (PACKET,), (XDP,), (CARD,), (PACKET, OTHER), (PACKET, PACKET), (CARD, "0000:01:00.2"),
    (PACKET, "net_af_xdp0,iface=eth1")])
def test_a_device_for_each_partition(read, devices):
    assert tuple(read(*devices, count=max(1, len(devices))).dpdk.devices) == devices
    assert read(count=4).dpdk.devices == []


@pytest.mark.parametrize("devices, count, why", [
    ((PACKET,), 2, "1 for partitions.count = 2; each matcher is an EAL process with a device of"),
    ((PACKET, OTHER), 1, "2 for partitions.count = 1"),
    ((XDP, XDP), 2, f'"{XDP}" takes eth0, which "{XDP}" has'),
    ((XDP, PACKET), 2, "takes eth0, which"),
    ((PACKET, XDP), 2, "takes eth0, which"),
    ((CARD, CARD), 2, f'"{CARD}" takes {CARD}, which'),
    (("eth0",), 1, 'such as "net_af_packet0,iface=eth1", or a PCI address such as "0000:01:00.0"'),
    (("net_af_packet0,iface=eth0 --no-huge",), 1, "a device of EAL"),
    (("0000:1:0.0",), 1, "a device of EAL"),
])
def test_devices_that_do_not_go_together(read, devices, count, why):
    with pytest.raises(ConfigError) as caught:
        read(*devices, count=count)
    assert len(caught.value.complaints) == 1
    assert "dpdk.devices" in caught.value.complaints[0] and why in caught.value.complaints[0]


@pytest.mark.parametrize("more, why", [
    ({"layout": "shared"}, 'partitions.layout = "shared": a DPDK device is one matcher\'s own'),
    ({"wait": "block"}, 'cores.wait = "block": a DPDK device has nothing to sleep on')])
def test_what_dpdk_cannot_do_is_refused_for_it_alone(read, more, why):
    with pytest.raises(ConfigError) as caught:
        read(**more)
    assert len(caught.value.complaints) == 1 and why in caught.value.complaints[0]
    read(mode="native", **more)
    read(PACKET, PACKET, PACKET, mode="native")

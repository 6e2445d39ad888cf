"""Orders in a VLAN: counted, told and not taken, as nobody would get their answers."""

import pytest

from appliance.layout.datagram import build_mold
from tests.end_to_end.place import Place, trade
from tests.end_to_end.wire_kit import Ledger, alarm, raw_socket
from tests.netns import needs_bpf, needs_namespaces
from tools.record import frame

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

VLAN, EACH = 5, 20
HEARTBEAT = build_mold("NOBODY0000", 1, [])


def tagged(place, control) -> bytes:
    """A datagram for the order port behind a tag that says `control`."""
    macs = place.scene.mac + place.scene.source_mac
    packet = frame(HEARTBEAT, (place.scene.market_ip, 9), (place.scene.ip, place.scene.order_port))
    return macs + b"\x81\x00" + control.to_bytes(2, "big") + packet[len(macs):]


def test_what_comes_in_a_vlan_is_counted_told_and_not_taken(warm):
    with Place("native") as place:
        buyer, seller = place.login(0), place.login(1)
        raw, ledger = raw_socket(place), Ledger(place)
        for control in (VLAN, 0xE000 | VLAN, 4094, 0, 0xE000):
            for _ in range(EACH):
                raw.send(tagged(place, control))
        moved = ledger.until(lambda moved: moved.program["pass_vlan"] == 3 * EACH
                             and moved.matchers[0]["rx_unknown_token"] == 2 * EACH)
        assert moved.matchers[0]["rx_vlan"] == 0
        assert "carry no tag" in alarm(place, "pass-vlan")
        trade(buyer, seller)
        assert place.stop() == 0, place.house.words()

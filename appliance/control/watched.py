"""Counters of a matcher whose growth is an alarm, with what it means and what to do."""

WATCHED = (
    ("capacity_rejects", "orders were refused because a pool is empty; see [capacity]"),
    ("stream_full", "acknowledgements found no room; raise capacity.chunks"),
    ("feed_overrun", "feed messages were overwritten unsent; raise capacity.feed_bytes"),
    ("twin_lost", "messages are missing on feed B: its interface does not take them; see "
                  "feed.interface_b"),
    ("twin_unended", "days ended without a word of it on feed B: its interface took nothing; see "
                     "feed.interface_b"),
    ("rx_control_full", "logins were dropped because the control link is full"),
    ("rx_vlan", "datagrams for an order port came in a VLAN, and our answers carry no tag: so "
                "they are not taken: let the switch take the tag off (an untagged port)"),
    ("rx_checksum", "datagrams had a wrong UDP checksum, or one that was left to an offload (at "
                    "their sender: ethtool -K IF tx off)"),
    ("tx_no_frame", "times every transmit frame was on its way: the device or portd does not give "
                    "them back, or port.tx_frames is too small; what waits is sent later"),
)

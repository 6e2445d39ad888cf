"""Every counter of something lost, refused or given up, and what to do about it.

By the group that status.json keeps it in: a partition's `counters`, `xsk` (its AF_XDP sockets),
`sends`, `device` (DPDK), `recovery`; of the machine: `reasons` (the XDP program), `interface`.
"""

from ..stages.service import ENDINGS

SENDER = "a participant's program is wrong there; the flight log or a capture says whose: "
_GAP = "the participant sends it again when asked; often: look for loss on the way to us"

REMEDIES = {
    "counters": {
        "rx_rerequest_refused": "a participant asks for what it never had, or too often: see its "
                                "session's numbers",
        "rx_hold_full": "raise capacity.holds, or find the loss that opens the gaps",
        "rx_far_ahead": "a participant's numbers jump: it must log in and ask where it stands",
        "rx_unknown_token": "a token of no session: an old login, or a stranger",
        "rx_wrong_source": "a session's token comes from another address: it must log in from "
                           "there, or somebody uses a stolen token",
        "rx_source_refused": "an address that is on no account's sources sends orders: add it, or "
                             "block it",
        "rx_not_udp": "frames that are no UDP for us were steered here: see the card's rules",
        "rx_vlan": "let the switch take the VLAN's tag off (an untagged port)",
        "rx_checksum": "at the sender: ethtool -K IF tx off; else a bad cable or card",
        "rx_truncated": "a participant has a larger MTU: 1,500 bytes are taken at most",
        "rx_short": SENDER + "shorter than a MoldUDP64 header",
        "rx_framing": SENDER + "its blocks and their count do not agree",
        "rx_control_full": "logins came faster than they are answered: raise capacity.link_depth",
        "messages_unknown": SENDER + "unknown message types",
        "messages_short": SENDER + "messages of a wrong length",
        "messages_stale": "a participant uses UserRefNums again: they must go up",
        "messages_skipped": "messages were given up after a gap: raise orders.gap_hold_us, and "
                            "find the loss on the way to us",
        "gap_requests": _GAP,
        "gap_requests_withheld": "the flood guard drops that source: see orders.flood_rate",
        "capacity_rejects": "orders were refused because a pool is empty: see [capacity]",
        "busts_ignored": "a bust named a trade that is not known or broken already: check its "
                         "match number",
        "stream_full": "acknowledgements found no room: raise capacity.chunks",
        "feed_overrun": "feed messages were overwritten unsent: raise capacity.feed_bytes",
        "journal_full": "the journal lags behind: see `wirematch top` (ring journal) and the disk",
        "tx_no_frame": "every transmit frame was on its way: raise port.tx_frames",
        "twin_full": "feed B's own interface is slow: A goes on; see feed.interface_b",
        "twin_lost": "messages are missing on feed B: see feed.interface_b",
        "twin_unended": "feed B was not told of the day's end: see feed.interface_b",
        "tcp_refused": "pieces of TCP sessions that are over, or malformed: see the client",
    },
    "xsk": {
        "rx_dropped": "its matcher or portd stood still, or raise port.rx_frames",
        "rx_invalid": "a fault in the appliance: report it with status.json",
        "tx_invalid": "a fault in the appliance: report it with status.json",
        "rx_ring_full": "its matcher stood still, or raise port.rx_frames",
    },
    "sends": {
        "down": "the interface was down: see ip link show",
        "errors": "sending failed: the alarm send-errors says why",
        "refused": "packets were given up: the alarm send-errors says why",
        "invalid": "a fault in the appliance: report it with status.json",
    },
    "device": {
        "missed": "its matcher stood still, or raise port.rx_frames",
        "receive_errors": "the card received broken frames: cable, optics, or the switch",
        "send_errors": "no carrier, or the driver refuses packets: see its words in the log",
        "no_frame": "raise port.rx_frames",
    },
    "recovery": {
        "rerequests_short": SENDER + "re-requests that are cut short",
        "rerequests_unknown_session": "a subscriber asks for another day's or instance's feed: it "
                                      "must read channel.json again",
        "rerequests_bad_count": SENDER + "re-requests of no message",
        "rerequests_beyond_newest": "a subscriber asks for what was never sent: read channel.json "
                                    "again",
        "rerequests_too_old": "raise capacity.feed_bytes and feed_messages, or let subscribers "
                              "take a snapshot",
        "rerequests_rate": "a subscriber asks faster than feed.rerequests_per_second",
        "rerequests_send_failed": "an answer did not leave: see ip -s link show",
        **{f"{service}_{ending}": "connections over TCP that ended so: see the client"
           for service in ("orders", "glimpse") for ending in ("source", "full", *ENDINGS)
           if ending not in ("gone", "logout", "served", "day_over", "taken_over",
                             "disconnected")},
    },
    "reasons": {
        "pass_truncated": "frames end before their destination: cable, card, or a broken sender",
        "pass_vlan": "let the switch take the VLAN's tag off (an untagged port)",
        "pass_wrong_queue": "the card puts orders on another queue: ethtool -N, ethtool -L, or "
                            "interface.queue",
        "pass_no_socket": "a partition had no AF_XDP socket for a moment: it was started again",
        "drop_ip_header": "IP options, or a wrong header checksum: see the sender",
        "drop_fragment": "a participant sends datagrams larger than its MTU",
        "drop_length": "lengths in the headers do not agree: see the sender",
        "drop_too_long": "ethtool -K IF gso off tso off gro off at the sender, or its MTU",
        "drop_unknown_source": "an address on no account's sources sends orders: add it, or block "
                               "it",
        "drop_bogon_source": "an address that nobody can have, or ours: somebody forges addresses",
        "drop_flood": "a participant sends more than orders.flood_rate: the alarm drop-flood names "
                      "it",
    },
    "interface": {
        "rx_errors": "cable, optics, or the switch: see ip -s link show",
        "rx_dropped": "the card or kernel had no room: see ethtool -S",
        "tx_errors": "cable, optics, or the switch: see ip -s link show",
        "tx_dropped": "no carrier, or the other end takes fewer bytes (its MTU)",
    },
}

/* Every way a frame can leave the XDP program, counted once each: their sum is the frames seen.
   pass_*: the kernel goes on with it. drop_*: addressed to us and unusable. The names and their
   order are mirrored by appliance/shm/steer.py; a test compares the two. */
enum reason {
    redirected,             /* into the AF_XDP ring of its partition */
    pass_other_ether,       /* EtherType is not IPv4, also after one 802.1Q tag: ARP, IPv6, QinQ */
    pass_not_ipv4,          /* EtherType says IPv4, the version or header length does not */
    pass_not_udp,           /* TCP, ICMP, IGMP, ... */
    pass_not_ours,          /* UDP to another address or port */
    pass_truncated,         /* the frame ends before its destination could be read */
    pass_later_fragment,    /* a fragment without ports: whose it is cannot be known */
    pass_vlan,              /* ours, in a VLAN of its own: our answers would carry no tag */
    pass_wrong_queue,       /* ours, on a device or queue other than the one its slot is bound to */
    pass_no_socket,         /* ours, and no AF_XDP socket in the slot: the plain sockets' turn */
    drop_ip_header,         /* ours, with IP options or a wrong IP header checksum */
    drop_fragment,          /* ours, the first of several fragments */
    drop_length,            /* ours, IP and UDP lengths and the frame's do not agree */
    drop_too_long,          /* ours, more than 1,500 bytes behind Ethernet: jumbo, GSO superframe */
    drop_unknown_source,    /* ours, from an address that is not on the allow-list */
    drop_bogon_source,      /* the same, and an address that nobody can have; or our own */
    drop_flood,             /* ours, from a source that has used up its messages: the flood guard */
    reason_cnt
};

/* What the gate decides by, as one value: ports, partitions, sources and the flood guard's limits.

   Two such values exist, table_a and table_b; tables[0] points at the one in use. A change is
   written into the other and the pointer is moved, so a frame sees all of the old tables or all of
   the new ones. The records are declared in appliance/layout/gate.py; appliance/shm/steer_tables.py
   builds the bytes, steer.py beside it checks the size when it loads.

   A source is found by a hash into sets of four. The writer chooses the seed so that no set has to
   hold five; a free place holds an address that belongs to another set, and so matches nothing. */
#include "../native/gen/layout.h"

struct tables {
    __u64 version;
    __u64 seed;
    struct wm_place places[WM_PARTITION_MAX];
    struct wm_source_set sets[WM_SET_CNT];
    struct wm_limit limits[WM_SOURCE_MAX];
    __u16 owners[WM_UDP_PORT_CNT];      /* partition + 1 by UDP port; 0: the port is not ours */
};

/* partition + 1 of a datagram's destination, 0 when it is not ours. */
static __always_inline __u32 owner_of(const struct tables *in, __be16 udp_port, __be32 ip)
{
    __u32 owner = in->owners[bpf_ntohs(udp_port)];
    if (!owner || owner > WM_PARTITION_MAX || in->places[owner - 1].ip != ip)
        return 0;
    return owner;
}

/* The source's id, or -1 when it is not on the allow-list. */
static __always_inline int source_of(const struct tables *in, __be32 ip)
{
    const struct wm_source_set *set = &in->sets[(ip * in->seed) >> (64 - WM_LG_SET_CNT)];
    for (int way = 0; way < WM_SET_SZ; way++)
        if (set->ip[way] == ip)
            return set->id[way] & (WM_SOURCE_MAX - 1);
    return -1;
}

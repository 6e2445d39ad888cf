/* The one XDP program: orders go to the AF_XDP ring of their partition, all else to the kernel.

   Verdicts:  redirected   an accepted order packet
              XDP_PASS     whatever is not addressed to one of our (ip, port) pairs, and ours when
                           no socket is bound (the plain-socket rung) or the queue is the wrong one
              XDP_DROP     addressed to us and malformed, or from an unknown source

     frame --> Ethernet --not IPv4--------------------------------------> pass_other_ether
                  | (one VLAN tag is stepped over)
                  v
               IPv4 -----version, header length not IPv4's--------------> pass_not_ipv4
                  |------not UDP----------------------------------------> pass_not_udp
                  |------fragment offset > 0: no ports------------------> pass_later_fragment
                  v
               UDP ports --> partitions[port], its ip --not that--------> pass_not_ours
                  |                        (any header cut short -------> pass_truncated)
                  | ours from here
                  v
               options, IP checksum ------------------------------------> drop_ip_header
               more fragments ------------------------------------------> drop_fragment
               IP, UDP length against the frame ------------------------> drop_length
               allowed[source] --no entry-------------------------------> drop_unknown_source
               bound[partition] == (device, queue)? --no----------------> pass_wrong_queue
                  |                                 (none bound --------> pass_no_socket)
                  v
               16 bytes of metadata in front of the packet (where wanted, and where there is room)
                  v
               redirect_map(xsks, partition) --empty slot---------------> pass_no_socket
                  |
                  +-----------------------------------------------------> redirected

   Every frame raises exactly one counter of reasons.h on its CPU.

   partitions is an array by UDP port, not a hash of (ip, port): under live frames it was 35 to 50
   ns a frame cheaper. The price is one ip a port. Reading the clock for the metadata costs about
   50 ns a frame, so a partition can do without. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "parse.h"
#include "reasons.h"

#define PARTITION_MAX 256
#define UDP_PORT_CNT  65536
#define SOURCE_MAX    65536
#define FRAGMENT_MORE   bpf_htons(0x2000)
#define FRAGMENT_OFFSET bpf_htons(0x1fff)
#define META_MARK 0x53544d57    /* "WMTS" in memory; hot/port_state.py has the same number */

struct owner {                  /* of a UDP port; taken 0: the port is not ours */
    __be32 ip;
    __u16 partition;
    __u16 taken;
};

struct place {                  /* of a partition; ifindex 0: nothing is bound */
    __u32 ifindex;
    __u32 queue;
    __u32 stamped;              /* whether packets get metadata */
};

struct metadata {               /* right before the packet, read by the matcher */
    __u64 arrival_ns;           /* CLOCK_MONOTONIC */
    __u32 partition;
    __u32 mark;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, UDP_PORT_CNT);
    __type(key, __u32);         /* the port's two bytes in network order, as a number */
    __type(value, struct owner);
} partitions SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, SOURCE_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __be32);
    __type(value, __u32);
} allowed SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PARTITION_MAX);
    __type(key, __u32);
    __type(value, struct place);
} bound SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, PARTITION_MAX);
    __type(key, __u32);
    __type(value, __u32);
} xsks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, reason_cnt);
    __type(key, __u32);
    __type(value, __u64);
} reasons SEC(".maps");

static __always_inline int leave(int verdict, __u32 reason)
{
    __u64 *counter = bpf_map_lookup_elem(&reasons, &reason);
    if (counter)
        *counter += 1;
    return verdict;
}

/* Writes the metadata; a device without room for it costs only the arrival time. */
static __always_inline void stamp(struct xdp_md *frame, __u32 partition)
{
    if (bpf_xdp_adjust_meta(frame, -(int)sizeof(struct metadata)))
        return;
    struct metadata *metadata = (void *)(long)frame->data_meta;
    if ((void *)(metadata + 1) > (void *)(long)frame->data)
        return;
    metadata->arrival_ns = bpf_ktime_get_ns();
    metadata->partition = partition;
    metadata->mark = META_MARK;
}

SEC("xdp")
int steer(struct xdp_md *frame)
{
    struct cursor cursor = { (void *)(long)frame->data, (void *)(long)frame->data_end };

    struct ethhdr *ether = TAKE(&cursor, struct ethhdr);
    if (!ether)
        return leave(XDP_PASS, pass_truncated);
    __be16 ether_type = ether->h_proto;
    if (is_vlan(ether_type)) {
        struct vlan_tag *tag = TAKE(&cursor, struct vlan_tag);
        if (!tag)
            return leave(XDP_PASS, pass_truncated);
        ether_type = tag->ether_type;
    }
    if (ether_type != bpf_htons(ETH_P_IP))
        return leave(XDP_PASS, pass_other_ether);

    struct iphdr *ip = TAKE(&cursor, struct iphdr);
    if (!ip)
        return leave(XDP_PASS, pass_truncated);
    if (ip->version != 4 || ip->ihl < 5)
        return leave(XDP_PASS, pass_not_ipv4);
    if (ip->protocol != IPPROTO_UDP)
        return leave(XDP_PASS, pass_not_udp);
    if (ip->frag_off & FRAGMENT_OFFSET)
        return leave(XDP_PASS, pass_later_fragment);

    __u32 options_sz = (ip->ihl - 5) * 4;
    cursor.at += options_sz;
    struct udphdr *udp = cursor.at;
    if ((void *)(&udp->dest + 1) > cursor.end)
        return leave(XDP_PASS, pass_truncated);
    __u32 udp_port_be = udp->dest;
    struct owner *owner = bpf_map_lookup_elem(&partitions, &udp_port_be);
    if (!owner || !owner->taken || owner->ip != ip->daddr)
        return leave(XDP_PASS, pass_not_ours);
    __u32 partition = owner->partition;

    if (options_sz || !ipv4_checksum_holds(ip))
        return leave(XDP_DROP, drop_ip_header);
    if (ip->frag_off & FRAGMENT_MORE)
        return leave(XDP_DROP, drop_fragment);
    __u32 ip_sz = bpf_ntohs(ip->tot_len);
    if ((void *)(udp + 1) > cursor.end
        || ip_sz < sizeof(*ip) + sizeof(*udp)
        || ip_sz > cursor.end - (void *)ip
        || bpf_ntohs(udp->len) != ip_sz - sizeof(*ip))
        return leave(XDP_DROP, drop_length);
    __be32 source = ip->saddr;
    if (!bpf_map_lookup_elem(&allowed, &source))
        return leave(XDP_DROP, drop_unknown_source);

    struct place *place = bpf_map_lookup_elem(&bound, &partition);
    if (!place || !place->ifindex)
        return leave(XDP_PASS, pass_no_socket);
    if (place->ifindex != frame->ingress_ifindex || place->queue != frame->rx_queue_index)
        return leave(XDP_PASS, pass_wrong_queue);

    if (place->stamped)
        stamp(frame, partition);
    int verdict = bpf_redirect_map(&xsks, partition, XDP_PASS);
    return leave(verdict, verdict == XDP_REDIRECT ? redirected : pass_no_socket);
}

char _license[] SEC("license") = "Apache-2.0";

/* The one XDP program: orders go to the AF_XDP ring of their partition, all else to the kernel.

   Verdicts:  redirected   an accepted order packet
              XDP_PASS     whatever is not addressed to one of our (ip, port) pairs, and ours when
                           no socket is bound (the plain-socket rung) or the queue is the wrong one
              XDP_DROP     addressed to us and malformed, from an unknown source, or too much

     frame --> Ethernet --not IPv4--------------------------------------> pass_other_ether
                  | (one 802.1Q tag is stepped over; a second is another EtherType)
                  v
               IPv4 -----version, header length not IPv4's--------------> pass_not_ipv4
                  |------not UDP----------------------------------------> pass_not_udp
                  |------fragment offset > 0: no ports------------------> pass_later_fragment
                  v
               UDP port, ip --> partition --none------------------------> pass_not_ours
                  |                        (any header cut short -------> pass_truncated)
                  | ours from here
                  v
               VLAN tag other than 0? --yes-----------------------------> pass_vlan
                  v
               options, IP checksum ------------------------------------> drop_ip_header
               more fragments ------------------------------------------> drop_fragment
               more than 1,500 bytes behind Ethernet -------------------> drop_too_long
               IP, UDP length against the frame ------------------------> drop_length
               source on the allow-list? --no---------------------------> drop_unknown_source
                  |                     (0/8, 127/8, 224/3, our own ----> drop_bogon_source)
                  v
               place of the partition == (device, queue)? --no----------> pass_wrong_queue
                  |                                 (none bound --------> pass_no_socket)
                  v
               flood guard of the source -------------------------------> drop_flood
                  v
               16 bytes of metadata in front of the packet (where wanted, and where there is room)
                  v
               redirect_map(xsks, partition) --empty slot---------------> pass_no_socket
                  |
                  +-----------------------------------------------------> redirected

   Every frame raises exactly one counter of reasons.h on its CPU.

   Answers carry no tag, so orders in a VLAN are not taken: the kernel goes on with them. A tag of
   VLAN 0 is a priority (802.1p) and no VLAN. A tag that the card took off before us (rxvlan) cannot
   be seen.

   Frames lie in one buffer: the program does not declare that it can take more (a device with an
   MTU beyond a page refuses it natively), and a superframe that a sender's offload left unsegmented
   is either too long or has MoldUDP64 blocks that do not add up, which the matcher counts.

   The flood guard is a token bucket of messages for each source and receiving core, kept as one
   number: the time until which the source's messages are paid for. A datagram costs the messages
   its MoldUDP64 header claims, at least one and at most what its bytes can hold. Time is the
   kernel's coarse clock, one tick of 1 to 10 ms. What passes to the plain sockets is not charged.

   The port's owner is looked up in an array by port, not a hash of (ip, port): under live frames it
   was 35 to 50 ns a frame cheaper. The price is one ip a partition. Reading the exact clock for the
   metadata costs up to 50 ns a frame, by machine, so a partition can do without. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "parse.h"
#include "reasons.h"
#include "tables.h"

#define FRAGMENT_MORE   bpf_htons(0x2000)
#define FRAGMENT_OFFSET bpf_htons(0x1fff)
#define VLAN_ID   bpf_htons(0x0fff)
#define IP_MOST   1500
#define MOLD_SZ   20            /* header of a MoldUDP64 packet; the message count is its end */
#define BLOCK_MIN 2             /* least bytes of a message block */
#define META_MARK 0x53544d57    /* "WMTS" in memory; hot/port_state.py has the same number */

struct metadata {               /* right before the packet, read by the matcher */
    __u64 arrival_ns;           /* CLOCK_MONOTONIC */
    __u32 partition;
    __u32 mark;
};

struct table {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct tables);
} table_a SEC(".maps"), table_b SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __type(key, __u32);
    __array(values, struct table);
} tables SEC(".maps") = { .values = { [0] = &table_a } };

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, WM_SOURCE_MAX);
    __type(key, __u32);
    __type(value, __u64);       /* until when the source's messages are paid for */
} debts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);  /* matchers map it; frozen, so that only we write it */
    __uint(max_entries, WM_SOURCE_MAX);
    __type(key, __u32);
    __type(value, struct wm_guarded);
} guarded SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, WM_PARTITION_MAX);
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

/* Whether nobody can have this source address, or it is the one the frame is addressed to. */
static __always_inline int is_bogon(const struct iphdr *ip)
{
    __u8 first = *(const __u8 *)&ip->saddr;
    return first == 0 || first == 127 || first >= 224 || ip->saddr == ip->daddr;
}

/* Messages that a datagram of payload_sz bytes is charged for. */
static __always_inline __u64 charge_of(const struct cursor *cursor, __u32 payload_sz)
{
    const __u8 *mold = cursor->at;
    if (payload_sz <= MOLD_SZ || mold + MOLD_SZ > (const __u8 *)cursor->end)
        return 1;
    __u32 claimed = mold[MOLD_SZ - 2] << 8 | mold[MOLD_SZ - 1];
    __u32 most = (payload_sz - MOLD_SZ) / BLOCK_MIN;
    if (claimed > most)
        claimed = most;
    return claimed ? claimed : 1;
}

/* Charges the source for so many messages; 0 when it has not got them. */
static __always_inline int afford(const struct wm_limit *limit, __u32 id, __be32 source,
                                  __u64 charge)
{
    __u64 *debt = bpf_map_lookup_elem(&debts, &id);
    if (!debt)
        return 1;
    __u64 now_ns = bpf_ktime_get_coarse_ns(), now = now_ns << 4;
    __u64 until = (*debt > now ? *debt : now) + charge * limit->price;
    if (until - now <= limit->room) {
        *debt = until;
        return 1;
    }
    struct wm_guarded *row = bpf_map_lookup_elem(&guarded, &id);
    if (row) {
        if (row->ip != bpf_ntohl(source)) {
            row->ip = bpf_ntohl(source);
            row->dropped_cnt = 0;
        }
        row->dropped_ns = now_ns;
        __sync_fetch_and_add(&row->dropped_cnt, 1);
    }
    return 0;
}

SEC("xdp")
int steer(struct xdp_md *frame)
{
    struct cursor cursor = { (void *)(long)frame->data, (void *)(long)frame->data_end };

    struct ethhdr *ether = TAKE(&cursor, struct ethhdr);
    if (!ether)
        return leave(XDP_PASS, pass_truncated);
    __be16 ether_type = ether->h_proto, vlan = 0;
    if (ether_type == bpf_htons(ETH_P_8021Q)) {
        struct vlan_tag *tag = TAKE(&cursor, struct vlan_tag);
        if (!tag)
            return leave(XDP_PASS, pass_truncated);
        vlan = tag->control & VLAN_ID;
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
    __u32 zero = 0;
    void *in_use = bpf_map_lookup_elem(&tables, &zero);
    if (!in_use)
        return leave(XDP_PASS, pass_not_ours);
    const struct tables *in = bpf_map_lookup_elem(in_use, &zero);
    if (!in)
        return leave(XDP_PASS, pass_not_ours);
    __u32 owner = owner_of(in, udp->dest, ip->daddr);
    if (!owner)
        return leave(XDP_PASS, pass_not_ours);
    __u32 partition = owner - 1;

    if (vlan)
        return leave(XDP_PASS, pass_vlan);
    if (options_sz || !ipv4_checksum_holds(ip))
        return leave(XDP_DROP, drop_ip_header);
    if (ip->frag_off & FRAGMENT_MORE)
        return leave(XDP_DROP, drop_fragment);
    if (cursor.end - (void *)ip > IP_MOST)
        return leave(XDP_DROP, drop_too_long);
    __u32 ip_sz = bpf_ntohs(ip->tot_len);
    if (!TAKE(&cursor, struct udphdr)
        || ip_sz < sizeof(*ip) + sizeof(*udp)
        || ip_sz > cursor.end - (void *)ip
        || bpf_ntohs(udp->len) != ip_sz - sizeof(*ip))
        return leave(XDP_DROP, drop_length);
    int id = source_of(in, ip->saddr);
    if (id < 0)
        return leave(XDP_DROP, is_bogon(ip) ? drop_bogon_source : drop_unknown_source);

    const struct wm_place *place = &in->places[partition];
    if (!place->ifindex)
        return leave(XDP_PASS, pass_no_socket);
    if (place->ifindex != frame->ingress_ifindex || place->queue != frame->rx_queue_index)
        return leave(XDP_PASS, pass_wrong_queue);

    const struct wm_limit *limit = &in->limits[id];
    if (limit->price
        && !afford(limit, id, ip->saddr,
                   charge_of(&cursor, ip_sz - sizeof(*ip) - sizeof(*udp))))
        return leave(XDP_DROP, drop_flood);

    if (place->stamped)
        stamp(frame, partition);
    int verdict = bpf_redirect_map(&xsks, partition, XDP_PASS);
    return leave(verdict, verdict == XDP_REDIRECT ? redirected : pass_no_socket);
}

char _license[] SEC("license") = "Apache-2.0";

/* The in-kernel engine of `wirematch replay`: live test frames become the packets of a capture.

   The packets lie preloaded in two arrays that user space has mapped: `blocks` holds their bytes,
   each from a new line on and none into the next block, `packets` says where each lies and when it
   is due. Every live frame, as long as the longest packet in whole lines, is made the next packet,
   line by line and then cut to size; in time it waits in place (only a test run may do that) and
   notes when it left in `left_ns`; it leaves by device slot 0. All sizes are set at load.

   witness   the peer in benches and tests: counts and drops what arrives, and notes when. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum { BLOCK_SZ = 1 << 16, LINE_SZ = 64, PACKET_MAX = 53 * LINE_SZ, SPIN_MAX = 16384 };

struct packet {
    __u64 due_ns;                   /* after turn.zero_ns */
    __u32 block;
    __u16 line;
    __u16 sz;
};

struct turn {
    __u64 at;                       /* the next packet */
    __u64 zero_ns;                  /* CLOCK_MONOTONIC; 0: no packet waits */
    __u64 refused;                  /* packets whose frame could not be given their size */
    __u64 refused_bytes;
};

struct line { __u64 words[LINE_SZ / 8]; };

struct block { __u8 bytes[BLOCK_SZ]; };

#define MAPPED_ARRAY(name, kind)                                                                   \
    struct {                                                                                       \
        __uint(type, BPF_MAP_TYPE_ARRAY);                                                          \
        __uint(map_flags, BPF_F_MMAPABLE);                                                         \
        __uint(max_entries, 1);                                                                    \
        __type(key, __u32);                                                                        \
        __type(value, kind);                                                                       \
    } name SEC(".maps")

MAPPED_ARRAY(blocks, struct block);
MAPPED_ARRAY(packets, struct packet);
MAPPED_ARRAY(left_ns, __u64);
MAPPED_ARRAY(turns, struct turn);

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} devices SEC(".maps");

SEC("xdp")
int replay(struct xdp_md *frame)
{
    __u32 zero = 0;
    struct turn *turn = bpf_map_lookup_elem(&turns, &zero);
    if (!turn)
        return XDP_DROP;
    __u32 at = (__u32)turn->at;
    struct packet *packet = bpf_map_lookup_elem(&packets, &at);
    if (!packet)
        return XDP_DROP;
    __u32 idx = packet->block, off = packet->line * LINE_SZ, sz = packet->sz;
    struct block *block = bpf_map_lookup_elem(&blocks, &idx);
    if (!block || sz > PACKET_MAX || off > BLOCK_SZ - PACKET_MAX)
        return XDP_DROP;
    turn->at = at + 1;
    struct line *to = (void *)(long)frame->data, *from = (void *)(block->bytes + off);
    void *end = (void *)(long)frame->data_end;
    for (__u32 done = 0; done < PACKET_MAX; done += LINE_SZ) {
        if (done >= sz || (void *)(to + 1) > end)
            break;
        *to++ = *from++;
    }
    int more = (int)sz - (int)(frame->data_end - frame->data);
    if (more && bpf_xdp_adjust_tail(frame, more)) {
        turn->refused++;
        turn->refused_bytes += sz;
        return XDP_DROP;
    }
    if (turn->zero_ns) {
        __u64 now = bpf_ktime_get_ns(), due = turn->zero_ns + packet->due_ns;
        for (int spin = 0; spin < SPIN_MAX && now < due; spin++)
            now = bpf_ktime_get_ns();
        __u64 *left = bpf_map_lookup_elem(&left_ns, &at);
        if (left)
            *left = now;
    }
    return bpf_redirect_map(&devices, 0, XDP_DROP);
}

struct seen {
    __u64 frames;
    __u64 bytes;
};

MAPPED_ARRAY(seen, struct seen);
MAPPED_ARRAY(arrived_ns, __u64);

SEC("xdp")
int witness(struct xdp_md *frame)
{
    __u32 zero = 0;
    struct seen *all = bpf_map_lookup_elem(&seen, &zero);
    if (!all)
        return XDP_DROP;
    __u32 at = (__u32)all->frames++;
    all->bytes += (__u64)(frame->data_end - frame->data);
    __u64 *arrived = bpf_map_lookup_elem(&arrived_ns, &at);
    if (arrived)
        *arrived = bpf_ktime_get_ns();
    return XDP_DROP;
}

char _license[] SEC("license") = "Apache-2.0";

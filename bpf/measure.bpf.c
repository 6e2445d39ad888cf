/* Tiny programs for benches and tests: what the path costs without steering, and a quiet peer.

   bare      redirects every frame to slot 0, the floor that steer is compared with
   pass      the peer of a veth pair needs a program (NAPI) to take redirected frames
   drop      a peer that receives and forgets, counting
   forward   live test frames leave by device slot 0, as a generator's
   look_up   asks the gate's tables LOOK_CNT times whose a frame would be, and passes when it found
             as many as look_nowhere, which does the same and does not ask
   paced     the same, one every pace.gap_ns: it spins in place, which only a test run may do */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "parse.h"
#include "tables.h"

#define LOOK_CNT 64             /* tools/bench/xdp.py divides by it */
#define PORT_CNT 32

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u32);
} sockets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u32);
} devices SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);         /* frames, bytes */
    __type(key, __u32);
    __type(value, __u64);
} seen SEC(".maps");

SEC("xdp")
int bare(struct xdp_md *frame)
{
    return bpf_redirect_map(&sockets, 0, XDP_PASS);
}

SEC("xdp")
int pass(struct xdp_md *frame)
{
    return XDP_PASS;
}

SEC("xdp")
int drop(struct xdp_md *frame)
{
    __u32 frames = 0, bytes = 1;
    __u64 *counter = bpf_map_lookup_elem(&seen, &frames);
    if (counter)
        *counter += 1;
    counter = bpf_map_lookup_elem(&seen, &bytes);
    if (counter)
        *counter += (long)frame->data_end - (long)frame->data;
    return XDP_DROP;
}

SEC("xdp")
int forward(struct xdp_md *frame)
{
    return bpf_redirect_map(&devices, 0, XDP_DROP);
}

struct pace {
    __u64 gap_ns;
    __u64 due_ns;                   /* when the next frame may leave; 0: begin now */
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct pace);
} pace SEC(".maps");

SEC("xdp")
int paced(struct xdp_md *frame)
{
    __u32 zero = 0;
    struct pace *now = bpf_map_lookup_elem(&pace, &zero);
    if (!now)
        return XDP_DROP;
    __u64 at = bpf_ktime_get_ns();
    for (int turn = 0; turn < 512 && at < now->due_ns; turn++)
        at = bpf_ktime_get_ns();
    now->due_ns = (now->due_ns ? now->due_ns : at) + now->gap_ns;
    return bpf_redirect_map(&devices, 0, XDP_DROP);
}

struct table {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct tables);
} table_a SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __type(key, __u32);
    __array(values, struct table);
} tables SEC(".maps") = { .values = { [0] = &table_a } };

/* Functions of their own, each checked by the verifier once: a look-up, and nothing. */
__attribute__((noinline)) int ask(__u32 udp_port, __u32 ip)
{
    __u32 zero = 0;
    void *in_use = bpf_map_lookup_elem(&tables, &zero);
    if (!in_use)
        return 0;
    const struct tables *in = bpf_map_lookup_elem(in_use, &zero);
    return in ? owner_of(in, udp_port, ip) != 0 : 0;
}

__attribute__((noinline)) int do_not_ask(__u32 udp_port, __u32 ip)
{
    return (udp_port | ip) != 0;
}

/* LOOK_CNT times one of them: PORT_CNT ports from the frame's own on. */
static __always_inline int look(struct xdp_md *frame, int asks)
{
    struct cursor cursor = { (void *)(long)frame->data, (void *)(long)frame->data_end };
    if (!TAKE(&cursor, struct ethhdr))
        return XDP_DROP;
    struct iphdr *ip = TAKE(&cursor, struct iphdr);
    struct udphdr *udp = TAKE(&cursor, struct udphdr);
    if (!ip || !udp)
        return XDP_DROP;
    __u32 first = bpf_ntohs(udp->dest), found = 0, address = ip->daddr;
    for (__u32 i = 0; i < LOOK_CNT; i++) {
        __u32 udp_port = bpf_htons((first + i % PORT_CNT) & 0xffff);
        found += asks ? ask(udp_port, address) : do_not_ask(udp_port, address);
    }
    return found == LOOK_CNT ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int look_up(struct xdp_md *frame)
{
    return look(frame, 1);
}

SEC("xdp")
int look_nowhere(struct xdp_md *frame)
{
    return look(frame, 0);
}

char _license[] SEC("license") = "Apache-2.0";

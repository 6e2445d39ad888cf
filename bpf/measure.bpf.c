/* Tiny programs for benches and tests: what the path costs without steering, and a quiet peer.

   bare      redirects every frame to slot 0, the floor that steer is compared with
   pass      the peer of a veth pair needs a program (NAPI) to take redirected frames
   drop      a peer that receives and forgets, counting
   forward   live test frames leave by device slot 0, as a generator's
   paced     the same, one every pace.gap_ns: it spins in place, which only a test run may do */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

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

char _license[] SEC("license") = "Apache-2.0";

/* A flood of valid orders out of live test frames: every frame is made the next order of the next
   partition, then leaves by device slot 0 as a generator's. For benches; no product code.

   The packet it is run with is an Ethernet, IPv4, UDP, MoldUDP64 frame with one `U` block that
   holds an OUCH Enter Order; UDP checksum 0. Written anew in each frame: destination port, token,
   upstream number, UserRefNum (the same), side (buy and sell in turn, so that every pair trades and
   the book stays empty) and symbol. `packed` does so with frames of PACK such blocks, whose symbol
   is already right, for the first target alone. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define TARGET_MAX 32
#define PACK 28                     /* orders in a frame of `packed` */
#define BLOCK 50                    /* bytes of a block: length, `U`, Enter Order */

enum offset { OFF_PORT = 36, OFF_TOKEN = 42, OFF_SEQ = 52, OFF_USER_REF = 66, OFF_SIDE = 70,
              OFF_SYMBOL = 75, FRAME_MIN = 112 };

struct target {
    __u8 token[10];
    __be16 port;
    __u8 symbol[8];
    __u32 pad;
    __u64 next;                     /* upstream number and UserRefNum of the next order */
};

struct turn {
    __u32 target_cnt;
    __u32 at;
    __u64 gap_ns;                   /* between two orders, 0: as fast as they go */
    __u64 due_ns;                   /* when the next one may leave; it spins until then, which only
                                       a test run may do */
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, TARGET_MAX);
    __type(key, __u32);
    __type(value, struct target);
} targets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct turn);
} turns SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} devices SEC(".maps");

static __always_inline void wait_turn(struct turn *turn)
{
    if (turn->gap_ns) {
        __u64 now = bpf_ktime_get_ns();
        for (int spin = 0; spin < 512 && now < turn->due_ns; spin++)
            now = bpf_ktime_get_ns();
        turn->due_ns = (turn->due_ns ? turn->due_ns : now) + turn->gap_ns;
    }
}

SEC("xdp")
int flood(struct xdp_md *frame)
{
    __u8 *at = (void *)(long)frame->data;
    if (at + FRAME_MIN > (__u8 *)(long)frame->data_end)
        return XDP_DROP;
    __u32 zero = 0;
    struct turn *turn = bpf_map_lookup_elem(&turns, &zero);
    if (!turn)
        return XDP_DROP;
    wait_turn(turn);
    __u32 idx = turn->at;
    turn->at = idx + 1 < turn->target_cnt ? idx + 1 : 0;
    struct target *target = bpf_map_lookup_elem(&targets, &idx);
    if (!target)
        return XDP_DROP;
    __u64 number = target->next++;
    __builtin_memcpy(at + OFF_PORT, &target->port, 2);
    __builtin_memcpy(at + OFF_TOKEN, target->token, 10);
    __builtin_memcpy(at + OFF_SYMBOL, target->symbol, 8);
    __be64 seq = bpf_cpu_to_be64(number);
    __be32 user_ref = bpf_htonl((__u32)number);
    __builtin_memcpy(at + OFF_SEQ, &seq, 8);
    __builtin_memcpy(at + OFF_USER_REF, &user_ref, 4);
    at[OFF_SIDE] = number & 1 ? 'B' : 'S';
    return bpf_redirect_map(&devices, 0, XDP_DROP);
}

SEC("xdp")
int packed(struct xdp_md *frame)
{
    __u8 *at = (void *)(long)frame->data;
    if (at + FRAME_MIN + (PACK - 1) * BLOCK > (__u8 *)(long)frame->data_end)
        return XDP_DROP;
    __u32 zero = 0;
    struct turn *turn = bpf_map_lookup_elem(&turns, &zero);
    struct target *target = bpf_map_lookup_elem(&targets, &zero);
    if (!turn || !target)
        return XDP_DROP;
    wait_turn(turn);
    __u64 number = target->next;
    target->next = number + PACK;
    __builtin_memcpy(at + OFF_PORT, &target->port, 2);
    __builtin_memcpy(at + OFF_TOKEN, target->token, 10);
    __be64 seq = bpf_cpu_to_be64(number);
    __builtin_memcpy(at + OFF_SEQ, &seq, 8);
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        __be32 user_ref = bpf_htonl((__u32)number + i);
        __builtin_memcpy(at + OFF_USER_REF + i * BLOCK, &user_ref, 4);
        at[OFF_SIDE + i * BLOCK] = (number + i) & 1 ? 'B' : 'S';
    }
    return bpf_redirect_map(&devices, 0, XDP_DROP);
}

char _license[] SEC("license") = "Apache-2.0";

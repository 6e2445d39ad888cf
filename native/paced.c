/* Sending in time: the last stretch before a packet's time is spun here, close to the system call,
   and the moment it had left is noted. One loop for three ways out. */
#include "native.h"
#include <linux/if_xdp.h>
#include <sys/prctl.h>
#include <time.h>

enum { FRAMES, PAYLOADS, RING };
enum { BURST = 64, RUNT_SZ = 14, GIVEN_UP = 1 };

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#define WORD(place)         ((uint32_t *)(uintptr_t)(place))
#define LOAD(place)         __atomic_load_n(WORD(place), __ATOMIC_ACQUIRE)
#define STORE(place, value) __atomic_store_n(WORD(place), value, __ATOMIC_RELEASE)

/* What a ring lost. EBUSY means that the kernel completed one frame, the last it took, and did not
   send it (no carrier, as a rule). The consumer that we see may lag behind what the kernel has
   taken: it shows it only after a call that sent something. */
struct lost {
    uint64_t frames, bytes;
    uint64_t taken;                 /* descriptors the kernel has taken so far, as u32 */
    uint64_t of_run;                /* bit i: packet i of the newest run */
};

static void note_taken(struct lost *lost, uint32_t shown)
{
    if ((int32_t)(shown - (uint32_t)lost->taken) > 0)
        lost->taken = shown;
}

static void note_lost(struct lost *lost, uint32_t shown, const struct xdp_desc *descs,
                      uint32_t depth, uint32_t first)
{
    uint32_t before = (uint32_t)lost->taken;
    note_taken(lost, shown);
    if ((uint32_t)lost->taken == before)
        lost->taken = before + 1;
    uint32_t which = (uint32_t)lost->taken - 1;
    lost->frames++;
    lost->bytes += descs[which & (depth - 1)].len;
    if (which - first < BURST)
        lost->of_run |= (uint64_t)1 << (which - first);
}

/* The completion ring is the list of free frames too: it begins with every frame in it, and what
   comes back lies where the packet a ring's length later looks for its frame. */
static int64_t send_ring(const uint64_t *way, const uint8_t *data, const int64_t *offs,
                         const uint32_t *lengths, int64_t start, int64_t stop, int64_t *error)
{
    int32_t fd = (int32_t)way[1];
    uint8_t *umem = (uint8_t *)(uintptr_t)way[2];
    uint32_t frame_sz = (uint32_t)way[3], depth = (uint32_t)way[4];
    struct xdp_desc *descs = (struct xdp_desc *)(uintptr_t)way[7];
    const uint64_t *free_addrs = (const uint64_t *)(uintptr_t)way[10];
    struct lost *lost = (struct lost *)(uintptr_t)way[11];
    uint32_t own = LOAD(way[5]), completed = LOAD(way[8]), first = own;
    STORE(way[9], completed);
    lost->of_run = 0;
    int64_t at = start;
    error[0] = 0;
    while (at < stop && at - start < BURST && own - completed < depth) {
        if (lengths[at] > frame_sz || lengths[at] < RUNT_SZ) {
            error[0] = lengths[at] > frame_sz ? -EMSGSIZE : -EINVAL;
            break;
        }
        struct xdp_desc *desc = descs + (own & (depth - 1));
        desc->addr = free_addrs[own & (depth - 1)];
        desc->len = lengths[at];
        desc->options = 0;
        memcpy(umem + desc->addr, data + offs[at], lengths[at]);
        own++, at++;
    }
    if (at == start && !error[0])
        error[0] = -EAGAIN;
    STORE(way[5], own);
    int64_t patience_ends = now_ns() + 1000000;
    while (LOAD(way[6]) != own) {
        int32_t result = wm_kick_tx(fd);
        if (result == -EBUSY)
            note_lost(lost, LOAD(way[6]), descs, depth, first);
        else
            note_taken(lost, LOAD(way[6]));
        if (result < 0 && result != -EAGAIN && result != -EBUSY) {
            error[0] = result;
            break;
        }
        if (result < 0 && now_ns() > patience_ends)
            break;                            /* they leave with a later kick */
    }
    return at - start;
}

static int64_t send_some(const uint64_t *way, const uint8_t *data, const int64_t *offs,
                         const uint32_t *lengths, int64_t start, int64_t stop, int64_t *error)
{
    if (way[0] == RING)
        return send_ring(way, data, offs, lengths, start, stop, error);
    if (way[0] == PAYLOADS)
        return wm_inject_payloads((const int32_t *)(uintptr_t)way[1],
                                  (const uint16_t *)(uintptr_t)way[2], data, offs, lengths,
                                  (const uint32_t *)(uintptr_t)way[3],
                                  (const uint16_t *)(uintptr_t)way[4], start, stop, error);
    return wm_inject_frames((int32_t)way[1], data, offs, lengths, start, stop, error);
}

int64_t wm_paced_send(const uint64_t *way, const uint8_t *data, const int64_t *offs,
                      const uint32_t *lengths, const int64_t *due_ns, int64_t start, int64_t stop,
                      int64_t zero_ns, int64_t deadline_ns, int64_t spin_ns, int64_t *left_ns,
                      int64_t *error)
{
    int64_t at = start;
    error[0] = 0;
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    while (at < stop && !error[0]) {
        int64_t run = stop - at < BURST ? stop - at : BURST;
        if (due_ns)
            run = wm_inject_wait(due_ns, at, at + run, zero_ns, deadline_ns, spin_ns);
        if (!run)
            break;                            /* a signal came, or the deadline */
        int64_t done = send_some(way, data, offs, lengths, at, at + run, error), now = now_ns();
        uint64_t of_run = way[0] == RING ? ((struct lost *)(uintptr_t)way[11])->of_run : 0;
        for (int64_t i = 0; i < done; i++)
            left_ns[at + i] = of_run >> i & 1 ? GIVEN_UP : now;
        at += done;
        if (now >= deadline_ns)
            break;
    }
    return at - start;
}

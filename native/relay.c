/* A bridge of two packet sockets that loses, doubles, delays and spoils what passes (tools/faults/
   relay.py). What happens to a frame depends on the seed of its way and its number alone. */
#include "native.h"
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BURST = 64, SLOT = 4608, PATIENCE_NS = 50000000, TRIES = 200 };
enum { SPARED = 12 };      /* the two addresses: a bit in the sender's spoils nothing */
enum { IGNORE_OUTGOING = 23, RCVBUF_SZ = 1 << 26 };              /* PACKET_IGNORE_OUTGOING */

/* Words of a way's settings and counts, in the order of SETTINGS and COUNTS in relay_way.py. */
enum { SEED, DROP, FLIP, TRUNCATE, DUPLICATE, DELAY, REORDER, BLOCK, DELAY_NS, SPREAD_NS, DEPTH,
       WAIT_NS, SETTINGS };
enum { RECEIVED, BLOCKED, DROPPED, TOO_LONG, PASSED, FLIPPED, TRUNCATED, DUPLICATED, DELAYED,
       REORDERED, NO_ROOM, SENT, UNSENT, HELD, COUNTS };
enum { FATE_BLOCKED = 1, FATE_DROPPED = 2, FATE_FLIPPED = 4, FATE_TRUNCATED = 8,
       FATE_DUPLICATED = 16, FATE_DELAYED = 32, FATE_REORDERED = 64, FATE_TOO_LONG = 128 };

struct late {
    int64_t due_ns;
    uint64_t after;                       /* leaves once the way has had so many frames */
    uint32_t sz, slot;
};

struct way {
    int in, out;
    volatile const int64_t *set;
    uint64_t *count;
    uint8_t *log;
    uint64_t log_sz;
    uint8_t *frames;                      /* BURST to receive into, then `room` that are held */
    struct late *late;                    /* a heap by due_ns */
    uint32_t *free;
    uint32_t room, held;
    struct mmsghdr got[BURST], put[BURST];
    struct iovec got_at[BURST], put_at[BURST];
    int put_cnt;
};

int32_t wm_relay_socket(uint32_t ifindex)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_ll place = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex,
                                 .sll_protocol = __builtin_bswap16(ETH_P_ALL) };
    struct packet_mreq all = { .mr_ifindex = (int)ifindex, .mr_type = PACKET_MR_PROMISC };
    int on = 1, room = RCVBUF_SZ;
    if (setsockopt(fd, SOL_PACKET, IGNORE_OUTGOING, &on, sizeof on)
        || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on)
        || setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all)
        || (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room)
            && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room))
        || bind(fd, (struct sockaddr *)&place, sizeof place)) {
        int32_t result = -errno;
        close(fd);
        return result;
    }
    return fd;
}

int32_t wm_relay_overrun(int32_t fd)
{
    struct tpacket_stats stats;
    socklen_t sz = sizeof stats;
    return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &sz) ? -errno
                                                                      : (int32_t)stats.tp_drops;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Draw number k for a frame: 64 bits (splitmix64 of a counter). */
static uint64_t draw(uint64_t seed, uint64_t frame, uint64_t k)
{
    uint64_t z = seed + (frame * 16 + k + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static int hits(const struct way *way, uint64_t frame, int what)
{
    return (int64_t)(draw((uint64_t)way->set[SEED], frame, (uint64_t)what) >> 32) < way->set[what];
}

/* Hands over what waits. A device that is full for a moment is tried again, then it is unsent. */
static void flush(struct way *way)
{
    int at = 0, tries = 0;
    while (at < way->put_cnt) {
        int left = sendmmsg(way->out, way->put + at, (unsigned)(way->put_cnt - at), 0);
        if (left > 0) {
            at += left;
            way->count[SENT] += (uint64_t)left;
            tries = 0;
        } else if (errno == EINTR || ((errno == ENOBUFS || errno == EAGAIN) && ++tries < TRIES)) {
            struct timespec nap = { .tv_nsec = 20000 };
            nanosleep(&nap, NULL);
        } else {
            at++;
            way->count[UNSENT]++;
            tries = 0;
        }
    }
    way->put_cnt = 0;
}

static void put(struct way *way, uint8_t *frame, uint32_t sz)
{
    if (way->put_cnt == BURST)
        flush(way);
    int i = way->put_cnt++;
    way->put_at[i] = (struct iovec){ frame, sz };
    way->put[i].msg_hdr = (struct msghdr){ .msg_iov = &way->put_at[i], .msg_iovlen = 1 };
}

static void keep(struct way *way, const uint8_t *frame, uint32_t sz, int64_t due_ns, uint64_t after)
{
    uint32_t slot = way->free[way->room - ++way->held], i = way->held - 1;
    memcpy(way->frames + (size_t)(BURST + slot) * SLOT, frame, sz);
    for (; i && way->late[(i - 1) / 2].due_ns > due_ns; i = (i - 1) / 2)
        way->late[i] = way->late[(i - 1) / 2];
    way->late[i] = (struct late){ due_ns, after, sz, slot };
}

/* Takes element i out of the heap and sends it. */
static void let_go(struct way *way, uint32_t i)
{
    struct late gone = way->late[i], last = way->late[--way->held];
    way->free[way->room - 1 - way->held] = gone.slot;
    if (i < way->held) {
        uint32_t child;
        for (; (child = 2 * i + 1) < way->held; i = child) {
            child += child + 1 < way->held
                     && way->late[child + 1].due_ns < way->late[child].due_ns;
            if (way->late[child].due_ns >= last.due_ns)
                break;
            way->late[i] = way->late[child];
        }
        for (; i && way->late[(i - 1) / 2].due_ns > last.due_ns; i = (i - 1) / 2)
            way->late[i] = way->late[(i - 1) / 2];
        way->late[i] = last;
    }
    put(way, way->frames + (size_t)(BURST + gone.slot) * SLOT, gone.sz);
    flush(way);                           /* before its slot is used again */
}

static void overtaken(struct way *way)
{
    for (uint32_t i = 0; i < way->held;) {
        if (way->late[i].after <= way->count[RECEIVED]) {
            let_go(way, i);
            i = 0;
        } else {
            i++;
        }
    }
}

static void judge(struct way *way, uint8_t *frame, uint32_t sz, int64_t now)
{
    uint64_t number = way->count[RECEIVED]++, seed = (uint64_t)way->set[SEED];
    int64_t block = way->set[BLOCK];
    uint8_t fate = 0;
    if (sz > SLOT) {
        fate = FATE_TOO_LONG;
        way->count[TOO_LONG]++;
    } else if (block == 1 || (block == 2 && sz && (frame[0] & 1))) {
        fate = FATE_BLOCKED;
        way->count[BLOCKED]++;
    } else if (hits(way, number, DROP)) {
        fate = FATE_DROPPED;
        way->count[DROPPED]++;
    } else {
        way->count[PASSED]++;
        if (sz >= ETH_HLEN && hits(way, number, FLIP)) {
            uint64_t bit = SPARED * 8 + draw(seed, number, SETTINGS) % ((sz - SPARED) * 8);
            frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
            fate |= FATE_FLIPPED;
            way->count[FLIPPED]++;
        } else if (sz > ETH_HLEN && hits(way, number, TRUNCATE)) {
            sz = ETH_HLEN + (uint32_t)(draw(seed, number, SETTINGS) % (sz - ETH_HLEN));
            fate |= FATE_TRUNCATED;
            way->count[TRUNCATED]++;
        }
        if (hits(way, number, DUPLICATE)) {
            fate |= FATE_DUPLICATED;
            way->count[DUPLICATED]++;
            put(way, frame, sz);
        }
        int late = hits(way, number, DELAY), turned = !late && hits(way, number, REORDER);
        uint64_t lot = draw(seed, number, SETTINGS + 1);
        if ((late || turned) && way->held == way->room) {
            way->count[NO_ROOM]++;
            late = turned = 0;
        }
        if (late) {
            fate |= FATE_DELAYED;
            way->count[DELAYED]++;
            keep(way, frame, sz, now + way->set[DELAY_NS]
                 + (int64_t)(lot % (uint64_t)(way->set[SPREAD_NS] + 1)), UINT64_MAX);
        } else if (turned) {
            fate |= FATE_REORDERED;
            way->count[REORDERED]++;
            keep(way, frame, sz, now + way->set[WAIT_NS],
                 number + 2 + lot % (uint64_t)way->set[DEPTH]);
        } else {
            put(way, frame, sz);
        }
    }
    if (number < way->log_sz)
        way->log[number] = fate;
}

static int64_t serve(struct way *way)
{
    int got = recvmmsg(way->in, way->got, BURST, MSG_DONTWAIT, NULL);
    int64_t now = now_ns();
    for (int i = 0; i < got; i++) {
        uint32_t cut = way->got[i].msg_hdr.msg_flags & MSG_TRUNC ? SLOT + 1 : way->got[i].msg_len;
        judge(way, way->got_at[i].iov_base, cut, now);
        if (way->held)
            overtaken(way);
    }
    while (way->held && way->late[0].due_ns <= now)
        let_go(way, 0);
    flush(way);
    way->count[HELD] = way->held;
    return got < 0 && errno != EAGAIN && errno != EINTR && errno != ENETDOWN ? -errno : 0;
}

int64_t wm_relay_run(const int32_t *fds, volatile const int64_t *stop, const int64_t *settings,
                     uint64_t *counts, uint8_t *logs, uint64_t log_sz, uint32_t room)
{
    struct way *ways = calloc(2, sizeof *ways);
    int64_t result = ways ? 0 : -ENOMEM;
    for (int w = 0; w < 2 && !result; w++) {
        struct way *way = &ways[w];
        way->in = fds[w];
        way->out = fds[1 - w];
        way->set = settings + w * SETTINGS;
        way->count = counts + w * COUNTS;
        way->log = logs + w * log_sz;
        way->log_sz = log_sz;
        way->room = room;
        way->frames = malloc((size_t)(BURST + room) * SLOT);
        way->late = malloc(room * sizeof *way->late);
        way->free = malloc(room * sizeof *way->free);
        if (!way->frames || !way->late || !way->free)
            result = -ENOMEM;
        for (uint32_t i = 0; i < room && !result; i++)
            way->free[i] = i;
        for (int i = 0; i < BURST && !result; i++) {
            way->got_at[i] = (struct iovec){ way->frames + (size_t)i * SLOT, SLOT };
            way->got[i].msg_hdr = (struct msghdr){ .msg_iov = &way->got_at[i], .msg_iovlen = 1 };
        }
    }
    while (!result && !*stop) {
        int64_t wait = PATIENCE_NS;
        for (int w = 0; w < 2; w++)
            if (ways[w].held && ways[w].late[0].due_ns - now_ns() < wait)
                wait = ways[w].late[0].due_ns - now_ns();
        struct timespec patience = { .tv_nsec = wait > 0 ? wait : 0 };
        struct pollfd ready[2] = { { ways[0].in, POLLIN, 0 }, { ways[1].in, POLLIN, 0 } };
        ppoll(ready, 2, &patience, NULL);
        for (int w = 0; w < 2 && !result; w++)
            result = serve(&ways[w]);
    }
    for (int w = 0; ways && w < 2; w++) {
        free(ways[w].frames);
        free(ways[w].late);
        free(ways[w].free);
    }
    free(ways);
    return result;
}

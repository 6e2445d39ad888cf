/* Measuring floors: the least an AF_XDP receiver, echo and pinger can do in C, no product code.
   Each runs in the calling thread until *stop is not 0 (or its count is done). They use the same
   geometry as a port: frames [0, rx) receive, [rx, rx + tx) transmit, ring depths equal those. */
#include "native.h"
#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

struct ring {
    uint32_t *producer, *consumer, mask, own;  /* own: our copy of the index we write */
    void *entries;
    void *mapping;
    size_t mapping_sz;
};

struct bare {
    int fd;
    uint8_t *umem;
    uint32_t frame_sz, rx_cnt, tx_cnt;
    struct ring rx, tx, fill, comp;
};

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#else
#define PAUSE() __asm__ volatile("yield")
#endif
#define LOAD(place)         __atomic_load_n(place, __ATOMIC_ACQUIRE)
#define STORE(place, value) __atomic_store_n(place, value, __ATOMIC_RELEASE)

static int map_ring(struct ring *ring, int fd, const struct xdp_ring_offset *offset, off_t page_off,
                    size_t entry_sz, uint32_t depth)
{
    ring->mapping_sz = offset->desc + entry_sz * depth;
    ring->mapping = mmap(NULL, ring->mapping_sz, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                         fd, page_off);
    if (ring->mapping == MAP_FAILED)
        return -errno;
    ring->producer = (uint32_t *)((char *)ring->mapping + offset->producer);
    ring->consumer = (uint32_t *)((char *)ring->mapping + offset->consumer);
    ring->entries = (char *)ring->mapping + offset->desc;
    ring->mask = depth - 1;
    return 0;
}

static void unmap(struct bare *bare)
{
    struct ring *rings[4] = { &bare->rx, &bare->tx, &bare->fill, &bare->comp };
    for (int i = 0; i < 4; i++)
        if (rings[i]->mapping && rings[i]->mapping != MAP_FAILED)
            munmap(rings[i]->mapping, rings[i]->mapping_sz);
}

static int map_all(struct bare *bare)
{
    struct xdp_mmap_offsets offsets;
    socklen_t sz = sizeof offsets;
    if (getsockopt(bare->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &sz))
        return -errno;
    int result = map_ring(&bare->rx, bare->fd, &offsets.rx, XDP_PGOFF_RX_RING, 16, bare->rx_cnt);
    if (!result)
        result = map_ring(&bare->tx, bare->fd, &offsets.tx, XDP_PGOFF_TX_RING, 16, bare->tx_cnt);
    if (!result)
        result = map_ring(&bare->fill, bare->fd, &offsets.fr, (off_t)XDP_UMEM_PGOFF_FILL_RING, 8,
                          bare->rx_cnt);
    if (!result)
        result = map_ring(&bare->comp, bare->fd, &offsets.cr,
                          (off_t)XDP_UMEM_PGOFF_COMPLETION_RING, 8, bare->tx_cnt);
    if (result) {
        unmap(bare);
        return result;
    }
    bare->rx.own = *bare->rx.consumer;
    bare->tx.own = *bare->tx.producer;
    bare->fill.own = *bare->fill.producer;
    bare->comp.own = *bare->comp.consumer;
    if (!bare->fill.own) {
        for (uint32_t i = 0; i < bare->rx_cnt; i++)
            ((uint64_t *)bare->fill.entries)[i] = (uint64_t)i * bare->frame_sz;
        bare->fill.own = bare->rx_cnt;
        STORE(bare->fill.producer, bare->fill.own);
    }
    return 0;
}

static void refill(struct bare *bare, uint64_t address)
{
    uint64_t base = address & ~(uint64_t)(bare->frame_sz - 1);
    ((uint64_t *)bare->fill.entries)[bare->fill.own++ & bare->fill.mask] = base;
}

static int transmit(struct bare *bare, const uint8_t *packet, uint32_t sz)
{
    bare->comp.own = LOAD(bare->comp.producer);       /* frames come back in order: use the next */
    STORE(bare->comp.consumer, bare->comp.own);
    if (bare->tx.own - bare->comp.own >= bare->tx_cnt)
        return 0;
    uint32_t slot = bare->tx.own & bare->tx.mask;
    struct xdp_desc *desc = (struct xdp_desc *)bare->tx.entries + slot;
    desc->addr = ((uint64_t)bare->rx_cnt + slot) * bare->frame_sz;
    desc->len = sz;
    desc->options = 0;
    memcpy(bare->umem + desc->addr, packet, sz);
    STORE(bare->tx.producer, ++bare->tx.own);
    return 1;
}

static void swap(uint8_t *left, uint8_t *right, int sz)
{
    uint8_t kept[8];
    memcpy(kept, left, (size_t)sz);
    memcpy(left, right, (size_t)sz);
    memcpy(right, kept, (size_t)sz);
}

int64_t wm_bare_receive(int32_t fd, uint8_t *umem, uint32_t frame_sz, uint32_t rx_cnt,
                        uint32_t tx_cnt, int32_t echo, uint64_t *stop, uint64_t *received)
{
    struct bare bare = { .fd = fd, .umem = umem, .frame_sz = frame_sz, .rx_cnt = rx_cnt,
                         .tx_cnt = tx_cnt };
    int result = map_all(&bare);
    if (result)
        return result;
    uint64_t total = 0;
    STORE(received, 0);
    while (!LOAD(stop)) {
        uint32_t available = LOAD(bare.rx.producer) - bare.rx.own;
        uint32_t count = available < 64 ? available : 64;
        if (!count) {
            PAUSE();                          /* the two cores may be one core's two threads */
            continue;
        }
        int pushed = 0;
        for (uint32_t i = 0; i < count; i++) {
            struct xdp_desc *desc = (struct xdp_desc *)bare.rx.entries
                                    + (bare.rx.own++ & bare.rx.mask);
            uint8_t *packet = umem + desc->addr;
            if (echo && desc->len >= 42) {
                swap(packet, packet + 6, 6);
                swap(packet + 26, packet + 30, 4);
                swap(packet + 34, packet + 36, 2);
                pushed += transmit(&bare, packet, desc->len);
            }
            refill(&bare, desc->addr);
        }
        STORE(bare.rx.consumer, bare.rx.own);
        STORE(bare.fill.producer, bare.fill.own);
        if (pushed)
            while (wm_kick_tx(fd) == -EAGAIN && LOAD(bare.tx.consumer) != bare.tx.own)
                ;
        total += count;
        STORE(received, total);
    }
    unmap(&bare);
    return (int64_t)total;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static const uint64_t PATIENCE_NS = 2000000000;   /* longer than a busy neighbour's time slice */

/* Sends the packet with its number in payload bytes 0..7 (offset 42) and spins for the answer that
   carries the number and whose byte 8 is not 2 (2 marks feed packets). */
int64_t wm_bare_ping(int32_t fd, uint8_t *umem, uint32_t frame_sz, uint32_t rx_cnt, uint32_t tx_cnt,
                     uint8_t *packet, uint32_t sz, int64_t count, int64_t gap_ns,
                     uint64_t *round_trip_ns)
{
    struct bare bare = { .fd = fd, .umem = umem, .frame_sz = frame_sz, .rx_cnt = rx_cnt,
                         .tx_cnt = tx_cnt };
    int result = map_all(&bare);
    if (result)
        return result;
    int64_t answered = 0;
    uint64_t due = now_ns();
    for (int64_t number = 0; number < count; number++) {
        while (now_ns() < due)
            ;
        due += (uint64_t)gap_ns;
        memcpy(packet + 42, &number, 8);
        uint64_t begun = now_ns(), ended = begun;
        if (!transmit(&bare, packet, sz))
            break;
        while (wm_kick_tx(fd) == -EAGAIN)
            ;
        for (int answer = 0; !answer && ended - begun < PATIENCE_NS; ended = now_ns()) {
            uint32_t available = LOAD(bare.rx.producer) - bare.rx.own;
            for (uint32_t i = 0; i < available; i++) {
                struct xdp_desc *desc = (struct xdp_desc *)bare.rx.entries
                                        + (bare.rx.own++ & bare.rx.mask);
                uint8_t *payload = umem + desc->addr + 42;
                answer |= desc->len >= 51 && !memcmp(payload, &number, 8) && payload[8] != 2;
                refill(&bare, desc->addr);
            }
            STORE(bare.rx.consumer, bare.rx.own);
            STORE(bare.fill.producer, bare.fill.own);
            if (answer)
                round_trip_ns[answered++] = now_ns() - begun;
        }
        if (gap_ns && due < ended)
            due = ended;
    }
    unmap(&bare);
    return answered;
}

int64_t wm_bare_send(int32_t fd, uint8_t *umem, uint32_t frame_sz, uint32_t rx_cnt, uint32_t tx_cnt,
                     const uint8_t *packet, uint32_t sz, int64_t count)
{
    struct bare bare = { .fd = fd, .umem = umem, .frame_sz = frame_sz, .rx_cnt = rx_cnt,
                         .tx_cnt = tx_cnt };
    int result = map_all(&bare);
    if (result)
        return result;
    int64_t sent = 0;
    uint64_t patience_ends = now_ns() + 1000000000;
    while (now_ns() < patience_ends && (sent < count || LOAD(bare.tx.consumer) != bare.tx.own)) {
        for (int i = 0; i < 32 && sent < count && transmit(&bare, packet, sz); i++) {
            sent++;
            patience_ends = now_ns() + 1000000000;
        }
        result = wm_kick_tx(fd);
        if (result && result != -EAGAIN && result != -EBUSY)
            break;
    }
    unmap(&bare);
    return result && result != -EAGAIN && result != -EBUSY ? result : sent;
}

int32_t wm_bare_bursts(int32_t fd, uint8_t *umem, uint32_t frame_sz, uint32_t rx_cnt,
                       uint32_t tx_cnt, const uint8_t *packet, uint32_t sz, int32_t burst,
                       int32_t count, uint64_t *burst_ns)
{
    struct bare bare = { .fd = fd, .umem = umem, .frame_sz = frame_sz, .rx_cnt = rx_cnt,
                         .tx_cnt = tx_cnt };
    int32_t done = 0, result = map_all(&bare);
    if (result)
        return result;
    for (; done < count && !result; done++) {
        uint64_t begun = now_ns();
        for (int i = 0; i < burst; i++)
            if (!transmit(&bare, packet, sz))
                result = -ENOBUFS;
        while (!result && LOAD(bare.tx.consumer) != bare.tx.own) {
            int kicked = wm_kick_tx(fd);
            if (kicked && kicked != -EAGAIN && kicked != -EBUSY)
                result = kicked;
        }
        burst_ns[done] = now_ns() - begun;
    }
    unmap(&bare);
    return result ? result : done;
}

/* appliance/_dpdk.so: one port of DPDK (EAL, mempool, ethdev bursts) for one process.

   One pool holds all frames. The transmit frames are taken out of it at open and stay ours: before
   a burst each gets a second reference, which the driver gives back when it no longer reads the
   frame. So a frame whose count is 1 is free, whatever a driver does with frames that it could not
   send, and nothing is copied here. Offsets count from the pool's lowest address. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include "../dpdk.h"

enum { ROOM = 2048 + RTE_PKTMBUF_HEADROOM, CACHE = 64, BURST = 64, FLAG_CUT = 1,
       ARGUMENTS_MAX = 64, DESCRIPTORS_MAX = 2048 };

static struct {
    uint16_t id;
    int started;
    struct rte_mempool *pool;
    struct rte_mbuf **transmit;
    uint32_t tx_frames;
    uintptr_t base, end;
} port;

static struct rte_mbuf *owner_of(uint64_t off)
{
    return (struct rte_mbuf *)(port.base + off - RTE_PKTMBUF_HEADROOM - sizeof(struct rte_mbuf));
}

static void widen(struct rte_mempool *pool, void *unused, struct rte_mempool_memhdr *chunk,
                  unsigned number)
{
    uintptr_t start = (uintptr_t)chunk->addr;
    (void)pool; (void)unused; (void)number;
    if (!port.base || start < port.base)
        port.base = start;
    if (start + chunk->len > port.end)
        port.end = start + chunk->len;
}

/* A pool that holds every frame, and the transmit frames taken out of it. */
static int take_frames(uint32_t rx_frames, uint32_t tx_frames, uint64_t *tx_offs)
{
    port.pool = rte_pktmbuf_pool_create("wirematch", rx_frames + tx_frames + 2 * CACHE, CACHE, 0,
                                        ROOM, rte_eth_dev_socket_id(port.id));
    port.transmit = calloc(tx_frames, sizeof *port.transmit);
    if (!port.pool || !port.transmit)
        return -ENOMEM;
    rte_mempool_mem_iter(port.pool, widen, NULL);
    if (rte_pktmbuf_alloc_bulk(port.pool, port.transmit, tx_frames))
        return -ENOMEM;
    port.tx_frames = tx_frames;
    for (uint32_t i = 0; i < tx_frames; i++)
        tx_offs[i] = rte_pktmbuf_mtod(port.transmit[i], uintptr_t) - port.base;
    return 0;
}

/* One receive and one transmit queue. Fewer descriptors than frames: a ring that is full always
   leaves us frames whose burst makes the driver look for completed ones. */
static int set_up(uint32_t rx_frames, uint32_t tx_frames, FILE *words)
{
    struct rte_eth_conf plain = { 0 };
    uint16_t rx_depth = RTE_MIN(rx_frames / 2, (uint32_t)DESCRIPTORS_MAX);
    uint16_t tx_depth = RTE_MIN(tx_frames / 2, (uint32_t)DESCRIPTORS_MAX);
    int socket = rte_eth_dev_socket_id(port.id);
    int result = rte_eth_dev_configure(port.id, 1, 1, &plain);
    if (!result)
        result = rte_eth_dev_adjust_nb_rx_tx_desc(port.id, &rx_depth, &tx_depth);
    if (result)
        return result;
    if (rx_depth > rx_frames / 2 || tx_depth > tx_frames / 2) {
        fprintf(words, "the device wants %u receive and %u transmit descriptors, so port.rx_frames "
                "and port.tx_frames must be twice that", rx_depth, tx_depth);
        return -ENOSPC;
    }
    result = rte_eth_rx_queue_setup(port.id, 0, rx_depth, socket, NULL, port.pool);
    if (result) {
        fprintf(words, "no receive queue of %u descriptors with %u frames; port.rx_frames may be "
                "too few for this driver", rx_depth, rx_frames);
        return result;
    }
    result = rte_eth_tx_queue_setup(port.id, 0, tx_depth, socket, NULL);
    return result ? result : rte_eth_dev_start(port.id);
}

static int32_t release(const uint64_t *held, int32_t count)
{
    rte_pktmbuf_free_bulk((struct rte_mbuf **)(uintptr_t)held, (unsigned)count);
    return 0;
}

static int32_t shut(void)
{
    if (!port.started)
        return -EBADF;
    if (port.pool) {
        rte_eth_dev_stop(port.id);
        if (port.tx_frames)
            rte_pktmbuf_free_bulk(port.transmit, port.tx_frames);
        rte_eth_dev_close(port.id);
    }
    free(port.transmit);
    memset(&port, 0, sizeof port);
    return rte_eal_cleanup();
}

static int start(char *arguments, FILE *words)
{
    char *argv[ARGUMENTS_MAX + 1] = { NULL };
    int argc = 0;
    for (char *at = strtok(arguments, "\n"); at && argc < ARGUMENTS_MAX; at = strtok(NULL, "\n"))
        argv[argc++] = at;
    rte_openlog_stream(words);
    if (rte_eal_init(argc, argv) < 0) {
        fprintf(words, "rte_eal_init: %s", rte_strerror(rte_errno));
        return rte_errno > 0 ? -rte_errno : -EINVAL;
    }
    port.started = 1;
    if (rte_eth_dev_count_avail() != 1) {
        fprintf(words, "%u devices were found, not one", rte_eth_dev_count_avail());
        return -ENODEV;
    }
    port.id = (uint16_t)rte_eth_find_next(0);
    return 0;
}

static int32_t open_port(char *arguments, uint32_t rx_frames, uint32_t tx_frames, uint64_t *out,
                         uint64_t *tx_offs, char *log, uint32_t log_sz)
{
    struct rte_ether_addr mac;
    char *text = NULL;
    size_t text_sz = 0;
    FILE *words = port.started ? NULL : open_memstream(&text, &text_sz);
    if (!words)
        return port.started ? -EALREADY : -ENOMEM;
    int result = start(arguments, words);
    if (!result)
        result = take_frames(rx_frames, tx_frames, tx_offs);
    if (!result)
        result = set_up(rx_frames, tx_frames, words);
    if (!result)
        result = rte_eth_macaddr_get(port.id, &mac);
    rte_openlog_stream(stderr);
    fclose(words);
    snprintf(log, log_sz, "%s", text);
    free(text);
    if (result) {
        shut();
        return result < 0 ? result : -EINVAL;
    }
    rte_eth_promiscuous_disable(port.id);
    out[0] = port.base;
    out[1] = port.end - port.base;
    out[2] = 0;
    memcpy(out + 2, mac.addr_bytes, sizeof mac.addr_bytes);
    return 0;
}

static int32_t rx(uint64_t *descs, uint64_t *held, int32_t max)
{
    struct rte_mbuf **frames = (struct rte_mbuf **)(uintptr_t)held;
    int32_t count = rte_eth_rx_burst(port.id, 0, frames, (uint16_t)RTE_MIN(max, (int32_t)BURST));
    for (int32_t i = 0; i < count; i++) {
        uint64_t cut = frames[i]->nb_segs > 1 ? FLAG_CUT : 0;
        descs[2 * i] = rte_pktmbuf_mtod(frames[i], uintptr_t) - port.base;
        descs[2 * i + 1] = frames[i]->data_len | cut << 32;
    }
    return count;
}

static int32_t tx(const uint64_t *descs, uint64_t mask, uint64_t head, int32_t count)
{
    struct rte_mbuf *batch[BURST];
    count = RTE_MIN(count, (int32_t)BURST);
    for (int32_t i = 0; i < count; i++) {
        const uint64_t *desc = descs + 2 * ((head + (uint64_t)i) & mask);
        batch[i] = owner_of(desc[0]);
        batch[i]->data_len = (uint16_t)desc[1];
        batch[i]->pkt_len = (uint32_t)desc[1];
        rte_mbuf_refcnt_set(batch[i], 2);
    }
    int32_t taken = rte_eth_tx_burst(port.id, 0, batch, (uint16_t)count);
    while (taken < count && rte_mbuf_refcnt_read(batch[taken]) == 1)
        taken++;                              /* given back, though a driver that failed says not */
    for (int32_t i = taken; i < count; i++)
        rte_mbuf_refcnt_set(batch[i], 1);
    return taken;
}

static int32_t completed(const uint64_t *descs, uint64_t mask, uint64_t tail, int32_t count)
{
    int32_t done = 0;
    while (done < count && rte_mbuf_refcnt_read(
               owner_of(descs[2 * ((tail + (uint64_t)done) & mask)])) == 1)
        done++;
    if (!done && count)
        rte_eth_tx_done_cleanup(port.id, 0, 0);      /* for the next look, where a driver has it */
    return done;
}

static int32_t statistics(uint64_t *out)
{
    struct rte_eth_stats found;
    int result = rte_eth_stats_get(port.id, &found);
    if (result)
        return result;
    out[0] = found.ipackets;
    out[1] = found.opackets;
    out[2] = found.imissed;
    out[3] = found.ierrors;
    out[4] = found.oerrors;
    out[5] = found.rx_nombuf;
    return 0;
}

struct wm_dpdk wm_dpdk_table = {
    WM_DPDK_VERSION, open_port, rx, release, tx, completed, statistics, shut,
};

/* AF_XDP socket set-up: the privileged part of a port. Rings are mapped by whoever holds the
   descriptor (the kernel allows it from another process); only binding and UMEM need rights. */
#include "native.h"
#include <linux/if_xdp.h>
#include <sys/socket.h>

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

static int32_t set_option(int32_t fd, int name, const void *value, socklen_t sz)
{
    return setsockopt(fd, SOL_XDP, name, value, sz) ? -errno : 0;
}

int32_t wm_xsk_socket(void)
{
    int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int32_t wm_xsk_register_umem(int32_t fd, void *umem, uint64_t sz, uint32_t frame_sz,
                             uint32_t headroom, uint32_t flags)
{
    struct xdp_umem_reg registration = {
        .addr = (uint64_t)(uintptr_t)umem, .len = sz, .chunk_size = frame_sz,
        .headroom = headroom, .flags = flags,
    };
    return set_option(fd, XDP_UMEM_REG, &registration, sizeof registration);
}

int32_t wm_xsk_ring_sizes(int32_t fd, uint32_t fill, uint32_t comp, uint32_t rx, uint32_t tx)
{
    const struct { int name; uint32_t depth; } rings[4] = {
        { XDP_UMEM_FILL_RING, fill }, { XDP_UMEM_COMPLETION_RING, comp },
        { XDP_RX_RING, rx }, { XDP_TX_RING, tx },
    };
    for (int i = 0; i < 4; i++) {
        int32_t result = !rings[i].depth ? 0
            : set_option(fd, rings[i].name, &rings[i].depth, sizeof rings[i].depth);
        if (result < 0)
            return result;
    }
    return 0;
}

int32_t wm_xsk_offsets(int32_t fd, uint64_t *out)
{
    struct xdp_mmap_offsets offsets;
    socklen_t sz = sizeof offsets;
    if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &sz))
        return -errno;
    if (sz != sizeof offsets)
        return -EPROTO;                       /* a kernel before 5.4 has no flags word */
    const struct xdp_ring_offset *rings[4] = { &offsets.rx, &offsets.tx, &offsets.fr, &offsets.cr };
    for (int i = 0; i < 4; i++) {
        out[4 * i + 0] = rings[i]->producer;
        out[4 * i + 1] = rings[i]->consumer;
        out[4 * i + 2] = rings[i]->desc;
        out[4 * i + 3] = rings[i]->flags;
    }
    return 0;
}

int32_t wm_xsk_bind(int32_t fd, uint32_t ifindex, uint32_t queue, uint32_t flags,
                    int32_t shared_umem_fd)
{
    struct sockaddr_xdp address = {
        .sxdp_family = AF_XDP, .sxdp_flags = (uint16_t)flags, .sxdp_ifindex = ifindex,
        .sxdp_queue_id = queue, .sxdp_shared_umem_fd = (uint32_t)shared_umem_fd,
    };
    return bind(fd, (struct sockaddr *)&address, sizeof address) ? -errno : 0;
}

int32_t wm_xsk_statistics(int32_t fd, uint64_t *out)
{
    struct xdp_statistics statistics;
    socklen_t sz = sizeof statistics;
    memset(&statistics, 0, sizeof statistics);
    if (getsockopt(fd, SOL_XDP, XDP_STATISTICS, &statistics, &sz))
        return -errno;
    out[0] = statistics.rx_dropped;
    out[1] = statistics.rx_invalid_descs;
    out[2] = statistics.tx_invalid_descs;
    out[3] = statistics.rx_ring_full;
    out[4] = statistics.rx_fill_ring_empty_descs;
    out[5] = statistics.tx_ring_empty_descs;
    return 0;
}

int32_t wm_xsk_options(int32_t fd)
{
    struct xdp_options options = { 0 };
    socklen_t sz = sizeof options;
    if (getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &sz))
        return -errno;
    return (int32_t)options.flags;
}

int32_t wm_xsk_tx_budget(int32_t fd, uint32_t frames)
{
    return set_option(fd, XDP_MAX_TX_SKB_BUDGET, &frames, sizeof frames);
}

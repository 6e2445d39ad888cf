/* The DPDK port's way to its shim: loads appliance/_dpdk.so and passes calls on to its table.

   Always built. Where the shim is absent wm_dpdk_load says so and no other function here is called,
   so compiled kernels find every symbol on every machine. */
#include "native.h"
#include <dlfcn.h>
#include <stdio.h>
#include "dpdk.h"

int32_t wm_dpdk_load(const char *path, wm_dpdk **out, char *log, uint32_t log_sz)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);    /* drivers look for its symbols */
    wm_dpdk *found = library ? dlsym(library, "wm_dpdk_table") : NULL;
    if (!found) {
        snprintf(log, log_sz, "%s", dlerror());
        return -ENOSYS;
    }
    if (found->version != WM_DPDK_VERSION) {
        snprintf(log, log_sz, "its version is %u, wanted is %u", found->version, WM_DPDK_VERSION);
        return -EPROTO;
    }
    *out = found;
    return 0;
}

int32_t wm_dpdk_open(wm_dpdk *shim, char *arguments, uint32_t rx_frames, uint32_t tx_frames,
                     uint64_t *out, uint64_t *tx_offs, char *log, uint32_t log_sz)
{
    return shim->open(arguments, rx_frames, tx_frames, out, tx_offs, log, log_sz);
}

int32_t wm_dpdk_rx(wm_dpdk *shim, uint64_t *descs, uint64_t *held, int32_t max)
{
    return shim->rx(descs, held, max);
}

int32_t wm_dpdk_release(wm_dpdk *shim, const uint64_t *held, int32_t count)
{
    return shim->release(held, count);
}

int32_t wm_dpdk_tx(wm_dpdk *shim, const uint64_t *descs, uint64_t mask, uint64_t head,
                   int32_t count)
{
    return shim->tx(descs, mask, head, count);
}

int32_t wm_dpdk_completed(wm_dpdk *shim, const uint64_t *descs, uint64_t mask, uint64_t tail,
                          int32_t count)
{
    return shim->completed(descs, mask, tail, count);
}

int32_t wm_dpdk_statistics(wm_dpdk *shim, uint64_t *out)
{
    return shim->statistics(out);
}

int32_t wm_dpdk_close(wm_dpdk *shim)
{
    return shim->close();
}

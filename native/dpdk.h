/* What the shared object of native/dpdk/ offers to dpdk.c: one table, found by its name.

   The shim is loaded by hand, so that neither the library nor a compiled kernel needs DPDK to be
   there; the functions' meanings stand in api.h. `version` changes with any of their signatures. */
#pragma once
#include <stdint.h>

enum { WM_DPDK_VERSION = 1 };

struct wm_dpdk {
    uint32_t version;
    int32_t (*open)(char *arguments, uint32_t rx_frames, uint32_t tx_frames, uint64_t *out,
                    uint64_t *tx_offs, char *log, uint32_t log_sz);
    int32_t (*rx)(uint64_t *descs, uint64_t *held, int32_t max);
    int32_t (*release)(const uint64_t *held, int32_t count);
    int32_t (*tx)(const uint64_t *descs, uint64_t mask, uint64_t head, int32_t count);
    int32_t (*completed)(const uint64_t *descs, uint64_t mask, uint64_t tail, int32_t count);
    int32_t (*statistics)(uint64_t *out);
    int32_t (*close)(void);
};

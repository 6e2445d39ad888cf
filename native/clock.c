/* Clocks: wall time, the monotonic clock that BPF uses, and the cycle counter. */
#include "native.h"
#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now))
        return -errno;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t wm_realtime_ns(void)  { return read_clock(CLOCK_REALTIME); }
int64_t wm_monotonic_ns(void) { return read_clock(CLOCK_MONOTONIC); }

uint64_t wm_tsc(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t cycles;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(cycles));
    return cycles;
#else
    return (uint64_t)read_clock(CLOCK_MONOTONIC);
#endif
}

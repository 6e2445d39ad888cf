/* Reading what another process may be writing: a row whose first word counts its writings. */
#include "native.h"

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

int64_t wm_seq_copy(const uint64_t *row, uint64_t words, uint64_t *out, int64_t tries)
{
    for (int64_t tried = 1; tried <= tries; tried++) {
        uint64_t before = __atomic_load_n(row, __ATOMIC_ACQUIRE);
        if (before & 1) {
            PAUSE();
            continue;
        }
        for (uint64_t i = 0; i < words; i++)
            out[i] = __atomic_load_n(row + i, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);        /* the loads above come before this one */
        if (__atomic_load_n(row, __ATOMIC_RELAXED) == before)
            return tried;
    }
    return -EAGAIN;
}

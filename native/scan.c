/* Where a price stands in an ascending array of 32-bit prices: AVX-512, AVX2 or plain C, chosen
   once when the library is loaded. All three are exported so that a test can hold them together. */
#include "native.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { SCALAR = 0, AVX2 = 1, AVX512 = 2 };
enum { STRETCH = 128 };   /* prices that are compared side by side rather than halved further */

static int32_t chosen = SCALAR;

/* The equivalent plain formula: how many of the prices lie below the wanted one. */
static int64_t below(const int32_t *prices, int64_t cnt, int32_t wanted)
{
    int64_t found = 0;
    for (int64_t i = 0; i < cnt; i++)
        found += prices[i] < wanted;
    return found;
}

/* Halves [*first, *first + cnt) until it is a stretch that still holds the answer. */
static inline int64_t narrow(const int32_t **first, int64_t cnt, int32_t wanted)
{
    const int32_t *prices = *first;
    while (cnt > STRETCH) {
        int64_t half = cnt >> 1;
        prices += prices[half - 1] < wanted ? half : 0;
        cnt -= half;
    }
    *first = prices;
    return cnt;
}

#if defined(__x86_64__)
__attribute__((target("avx2,popcnt")))
static int64_t below_avx2(const int32_t *prices, int64_t cnt, int32_t wanted)
{
    const __m256i limit = _mm256_set1_epi32(wanted);
    int64_t found = 0, i = 0;
    for (; i + 8 <= cnt; i += 8) {
        __m256i eight = _mm256_loadu_si256((const __m256i *)(prices + i));
        __m256i smaller = _mm256_cmpgt_epi32(limit, eight);
        found += __builtin_popcount((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(smaller)));
    }
    return found + below(prices + i, cnt - i, wanted);
}

__attribute__((target("avx512f,popcnt")))
static int64_t below_avx512(const int32_t *prices, int64_t cnt, int32_t wanted)
{
    const __m512i limit = _mm512_set1_epi32(wanted);
    int64_t found = 0, i = 0;
    for (; i < cnt; i += 16) {
        int64_t rest = cnt - i;
        __mmask16 some = rest >= 16 ? 0xFFFF : (__mmask16)((1u << rest) - 1);
        __m512i sixteen = _mm512_maskz_loadu_epi32(some, prices + i);
        found += __builtin_popcount(_mm512_mask_cmplt_epi32_mask(some, sixteen, limit));
    }
    return found;
}

__attribute__((constructor))
static void choose(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        chosen = AVX512;
    else if (__builtin_cpu_supports("avx2"))
        chosen = AVX2;
}
#endif

int32_t wm_scan_best(void) { return chosen; }

int64_t wm_scan_with(int32_t variant, const int32_t *prices, int64_t cnt, int32_t wanted)
{
    const int32_t *first = prices;
    if (variant < SCALAR || variant > chosen)
        return -ENOTSUP;
    if (cnt < 0)
        return -EINVAL;
    cnt = narrow(&first, cnt, wanted);
#if defined(__x86_64__)
    if (variant == AVX512)
        return first - prices + below_avx512(first, cnt, wanted);
    if (variant == AVX2)
        return first - prices + below_avx2(first, cnt, wanted);
#endif
    return first - prices + below(first, cnt, wanted);
}

int64_t wm_scan(const int32_t *prices, int64_t cnt, int32_t wanted)
{
    return wm_scan_with(chosen, prices, cnt, wanted);
}

int64_t wm_gap_open(int32_t *array, int64_t cnt, int64_t at, int32_t value)
{
    if (at < 0 || at > cnt)
        return -EINVAL;
    memmove(array + at + 1, array + at, (size_t)(cnt - at) * sizeof *array);
    array[at] = value;
    return cnt + 1;
}

int64_t wm_gap_close(int32_t *array, int64_t cnt, int64_t at)
{
    if (at < 0 || at >= cnt)
        return -EINVAL;
    memmove(array + at, array + at + 1, (size_t)(cnt - at - 1) * sizeof *array);
    return cnt - 1;
}

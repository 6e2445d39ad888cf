/* Where a price stands in an ascending array of 32-bit prices: AVX-512, AVX2, NEON or plain C,
   chosen once when the library is loaded. All that the CPU has are exported, so that a test can
   hold them together and a bench can compare them with the plain one. */
#include "native.h"
#include "gen/layout.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { SCALAR = 0, AVX2 = 1, AVX512 = 2, NEON = 3 };

/* Prices that are compared side by side rather than halved further, as measured: a halving costs
   about what comparing 16 to 32 prices in vectors costs, or 2 in plain C. Fewer prices than SHORT
   are no work for vectors. */
enum { STRETCH = 128, PLAIN_STRETCH = 8, SHORT = 8 };

static int32_t chosen = SCALAR;

/* The equivalent plain formula: how many of the prices lie below the wanted one. */
static inline int64_t below(const int32_t *prices, int64_t cnt, int32_t wanted)
{
    int64_t found = 0;
    for (int64_t i = 0; i < cnt; i++)
        found += prices[i] < wanted;
    return found;
}

/* Halves [*first, *first + cnt) until it is a stretch that still holds the answer. */
static inline int64_t narrow(const int32_t **first, int64_t cnt, int32_t wanted, int64_t stretch)
{
    const int32_t *prices = *first;
    while (cnt > stretch) {
        int64_t half = cnt >> 1;
        prices += half & -(int64_t)(prices[half - 1] < wanted);     /* a mask: no branch to miss */
        cnt -= half;
    }
    *first = prices;
    return cnt;
}

#if defined(__x86_64__)
static const int32_t lanes[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };

__attribute__((target("avx2,popcnt")))
static int64_t below_avx2(const int32_t *prices, int64_t cnt, int32_t wanted)
{
    const __m256i limit = _mm256_set1_epi32(wanted);
    __m256i even = _mm256_setzero_si256(), odd = even;       /* a lane that is smaller gives -1 */
    int64_t i = 0;
    for (; i + 16 <= cnt; i += 16) {
        const __m256i *sixteen = (const __m256i *)(prices + i);
        even = _mm256_sub_epi32(even, _mm256_cmpgt_epi32(limit, _mm256_loadu_si256(sixteen)));
        odd = _mm256_sub_epi32(odd, _mm256_cmpgt_epi32(limit, _mm256_loadu_si256(sixteen + 1)));
    }
    for (; i < cnt; i += 8) {                 /* lanes past the end are neither read nor counted */
        int64_t rest = cnt - i < 8 ? cnt - i : 8;
        __m256i some = _mm256_loadu_si256((const __m256i *)(lanes + 8 - rest));
        __m256i smaller = _mm256_cmpgt_epi32(limit, _mm256_maskload_epi32(prices + i, some));
        even = _mm256_sub_epi32(even, _mm256_and_si256(some, smaller));
    }
    even = _mm256_add_epi32(even, odd);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
}

__attribute__((target("avx512f,popcnt")))
static int64_t below_avx512(const int32_t *prices, int64_t cnt, int32_t wanted)
{
    const __m512i limit = _mm512_set1_epi32(wanted);
    int64_t found = 0, i = 0;
    for (; i + 16 <= cnt; i += 16)
        found += __builtin_popcount(_mm512_cmplt_epi32_mask(_mm512_loadu_si512(prices + i), limit));
    __mmask16 some = (__mmask16)((1u << (cnt - i)) - 1);         /* what is left, none perhaps */
    __m512i rest = _mm512_maskz_loadu_epi32(some, prices + i);
    return found + __builtin_popcount(_mm512_mask_cmplt_epi32_mask(some, rest, limit));
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

static int has(int32_t variant) { return variant >= SCALAR && variant <= chosen; }

#elif defined(__aarch64__)
/* A lane that is smaller compares to all ones, so subtracting it counts 1. */
static int64_t below_neon(const int32_t *prices, int64_t cnt, int32_t wanted)
{
    const int32x4_t limit = vdupq_n_s32(wanted);
    uint32x4_t even = vdupq_n_u32(0), odd = even;
    int64_t i = 0;
    for (; i + 8 <= cnt; i += 8) {
        even = vsubq_u32(even, vcltq_s32(vld1q_s32(prices + i), limit));
        odd = vsubq_u32(odd, vcltq_s32(vld1q_s32(prices + i + 4), limit));
    }
    return (int64_t)vaddvq_u32(vaddq_u32(even, odd)) + below(prices + i, cnt - i, wanted);
}

__attribute__((constructor))
static void choose(void) { chosen = NEON; }   /* part of every 64-bit Arm */

static int has(int32_t variant) { return variant == SCALAR || variant == NEON; }

#else
static int has(int32_t variant) { return variant == SCALAR; }
#endif

int32_t wm_scan_best(void) { return chosen; }

int64_t wm_scan_with(int32_t variant, const int32_t *prices, int64_t cnt, int32_t wanted)
{
    const int32_t *first = prices;
    if (!has(variant))
        return -ENOTSUP;
    if (cnt < 0)
        return -EINVAL;
    if (cnt < SHORT)
        return below(prices, cnt, wanted);
    cnt = narrow(&first, cnt, wanted, variant == SCALAR ? PLAIN_STRETCH : STRETCH);
#if defined(__x86_64__)
    if (variant == AVX512)
        return first - prices + below_avx512(first, cnt, wanted);
    if (variant == AVX2)
        return first - prices + below_avx2(first, cnt, wanted);
#elif defined(__aarch64__)
    if (variant == NEON)
        return first - prices + below_neon(first, cnt, wanted);
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

int64_t wm_block_open(int32_t *block, int64_t at, int32_t rank, int32_t slot)
{
    if (at < 0 || at >= WM_FAR_BLOCK)
        return -EINVAL;
    int32_t *slots = block + WM_FAR_BLOCK;
    size_t behind = (size_t)(WM_FAR_BLOCK - 1 - at) * sizeof *block;
    memmove(block + at + 1, block + at, behind);
    memmove(slots + at + 1, slots + at, behind);
    block[at] = rank;
    slots[at] = slot;
    return 0;
}

int64_t wm_block_close(int32_t *block, int64_t at)
{
    if (at < 0 || at >= WM_FAR_BLOCK)
        return -EINVAL;
    int32_t *slots = block + WM_FAR_BLOCK;
    size_t behind = (size_t)(WM_FAR_BLOCK - 1 - at) * sizeof *block;
    memmove(block + at, block + at + 1, behind);
    memmove(slots + at, slots + at + 1, behind);
    block[WM_FAR_BLOCK - 1] = INT32_MAX;
    return 0;
}

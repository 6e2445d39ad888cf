/* CRC32C (Castagnoli, reflected polynomial 0x82F63B78): the CPU's instruction where there is one,
   else eight tables of 256 words. Both are exported so that a test can hold them together. */
#include "native.h"

static uint32_t table[8][256];
static int32_t hardware;

#if defined(__x86_64__)
__attribute__((target("sse4.2")))
static uint32_t crc_instruction(uint32_t crc, const uint8_t *bytes, uint64_t sz)
{
    uint64_t wide = ~crc;
    for (; sz >= 8; sz -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    uint32_t narrow = (uint32_t)wide;
    for (; sz; sz--)
        narrow = __builtin_ia32_crc32qi(narrow, *bytes++);
    return ~narrow;
}
#endif

__attribute__((constructor))
static void prepare(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1)));
        table[0][i] = crc;
    }
    for (int step = 1; step < 8; step++)
        for (uint32_t i = 0; i < 256; i++)
            table[step][i] = (table[step - 1][i] >> 8) ^ table[0][table[step - 1][i] & 255];
#if defined(__x86_64__)
    __builtin_cpu_init();
    hardware = __builtin_cpu_supports("sse4.2") ? 1 : 0;
#endif
}

uint32_t wm_crc32c_table(uint32_t crc, const void *start, uint64_t sz)
{
    const uint8_t *bytes = start;
    crc = ~crc;
    for (; sz >= 8; sz -= 8, bytes += 8) {
        crc ^= bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (uint32_t)bytes[3] << 24;
        crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^ table[5][crc >> 16 & 255]
            ^ table[4][crc >> 24] ^ table[3][bytes[4]] ^ table[2][bytes[5]]
            ^ table[1][bytes[6]] ^ table[0][bytes[7]];
    }
    for (; sz; sz--)
        crc = (crc >> 8) ^ table[0][(crc ^ *bytes++) & 255];
    return ~crc;
}

uint32_t wm_crc32c(uint32_t crc, const void *start, uint64_t sz)
{
#if defined(__x86_64__)
    if (hardware)
        return crc_instruction(crc, start, sz);
#endif
    return wm_crc32c_table(crc, start, sz);
}

int32_t wm_crc32c_hardware(void) { return hardware; }

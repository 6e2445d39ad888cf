/* The one judge of a journal's blocks (appliance/layout/journal.py): walks them in memory, checks
   size, checksum, generation, chain, sequence, epoch and the records' own order, and copies the
   records out. It trusts no byte: whatever the memory holds, it stays inside. */
#include "native.h"
#include "gen/layout.h"

enum { CRC_END = 8 };         /* the checksum covers what follows it */

/* WALK_END for a block that stands by itself: whole, and its checksum right. */
static uint32_t judge(const struct wm_journal_block *block, uint64_t left)
{
    if (left < sizeof *block)
        return WM_WALK_TORN;
    if (block->magic != WM_BLOCK_MAGIC)
        return WM_WALK_MAGIC;
    uint64_t sz = sizeof *block + (uint64_t)block->count * sizeof(struct wm_journal_record);
    int records = block->kind == WM_BLOCK_RECORDS && block->count > 0
        && block->count <= WM_BLOCK_RECORDS_MAX;
    int check = block->kind == WM_BLOCK_CHECK && block->count == 0;
    if (block->sz != sz || !(records || check))
        return WM_WALK_SIZE;
    if (sz > left)
        return WM_WALK_TORN;
    return wm_crc32c(0, (const uint8_t *)block + CRC_END, sz - CRC_END) == block->crc
        ? WM_WALK_END : WM_WALK_CRC;
}

/* WALK_END for a good block that follows the one before. */
static uint32_t follows(const struct wm_journal_block *block, const struct wm_journal_walk *walk)
{
    if (block->generation != walk->generation)
        return WM_WALK_GENERATION;
    if (block->prev_crc != walk->prev_crc)
        return WM_WALK_CHAIN;
    if (block->first_seq != walk->next_seq)
        return WM_WALK_SEQ;
    if (block->epoch < walk->epoch)
        return WM_WALK_EPOCH;
    const struct wm_journal_record *records = (const void *)(block + 1);
    uint64_t time_ns = walk->time_ns;
    for (uint32_t i = 0; i < block->count; i++) {
        if (records[i].seq != block->first_seq + i || records[i].time_ns < time_ns)
            return WM_WALK_RECORDS;
        time_ns = records[i].time_ns;
    }
    return WM_WALK_END;
}

/* The count of records copied into out; -1 when there is no room for them. */
static int64_t copy(const struct wm_journal_block *block, struct wm_journal_walk *walk,
                    struct wm_journal_record *out)
{
    uint64_t skipped = walk->from_seq > block->first_seq ? walk->from_seq - block->first_seq : 0;
    if (!out || skipped >= block->count)
        return 0;
    uint64_t count = block->count - skipped;
    if (count > walk->room - walk->taken)
        return -1;
    memcpy(out + walk->taken, (const struct wm_journal_record *)(const void *)(block + 1) + skipped,
           count * sizeof *out);
    return (int64_t)count;
}

static int zero(const void *start, uint64_t sz)
{
    const uint8_t *bytes = start;
    for (uint64_t i = 0; i < sz; i++)
        if (bytes[i])
            return 0;
    return 1;
}

int64_t wm_journal_walk(const void *bytes, uint64_t sz, void *state, void *records)
{
    struct wm_journal_walk *walk = state;
    while (walk->off < sz) {
        const struct wm_journal_block *block = (const void *)((const uint8_t *)bytes + walk->off);
        uint64_t left = sz - walk->off;
        uint64_t head = left < sizeof *block ? left : sizeof *block;
        if (zero(block, head))
            break;
        uint32_t why = judge(block, left);
        if (why == WM_WALK_END)
            why = follows(block, walk);
        if (why != WM_WALK_END)
            return walk->why = why;
        int64_t copied = copy(block, walk, records);
        if (copied < 0)
            return walk->why = WM_WALK_FULL;
        walk->taken += (uint64_t)copied;
        if (block->kind == WM_BLOCK_CHECK) {
            walk->checks++;
            walk->check_seq = block->first_seq - 1;
            walk->check_state = block->state_hash;
            walk->check_output = block->output_hash;
        } else {
            const struct wm_journal_record *rows = (const void *)(block + 1);
            walk->time_ns = rows[block->count - 1].time_ns;
        }
        walk->prev_crc = block->crc;
        walk->next_seq += block->count;
        walk->epoch = block->epoch;
        walk->wall_ns = block->wall_ns;
        walk->off += block->sz;
        walk->blocks++;
    }
    return walk->why = WM_WALK_END;
}

int64_t wm_journal_find(const void *bytes, uint64_t sz, uint64_t off, uint32_t generation)
{
    for (off = (off + WM_BLOCK_SZ - 1) / WM_BLOCK_SZ * WM_BLOCK_SZ; off < sz; off += WM_BLOCK_SZ) {
        const struct wm_journal_block *block = (const void *)((const uint8_t *)bytes + off);
        if (judge(block, sz - off) == WM_WALK_END && block->generation == generation)
            return (int64_t)off;
    }
    return -ENOENT;
}

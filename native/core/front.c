/* The C surface of the core: takes memory, checks arguments, calls the compiled kernels.
 *
 * plan.h is printed by tools/build_core.py: the kernels' symbols (KERNEL_APPLY ...), how long each
 * array of a book is (PLAN), and EVENTS_A_COMMAND. A kernel is called as numba calls it: a place
 * for the result, a place for an exception (none of these raises), then the arguments. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "wirematch.h"
#include "plan.h"

enum { SYMBOLS, PAGES, LADDER, FAR_CAP, FAR_LEVELS, SIZES };
enum { LINE = 64, PAGE_ORDERS = 256, LG_LADDER_MIN = 12, LG_LADDER_MAX = 24 };

struct array {                  /* a row of the table that the kernels read */
    uint64_t address, rows, columns;
};

struct wirematch {
    struct array table[PLAN_CNT];
    uint64_t work[WORK_WORDS];      /* laid down by KERNEL_BEGIN, right behind the table */
    uint32_t symbols;
    void *memory;
    size_t memory_sz;
};

typedef int32_t status;
status KERNEL_BEGIN(int64_t *result, void **raised, uint64_t table, int64_t lg_ladder,
                    int64_t far_cap);
status KERNEL_WINDOW(int64_t *result, void **raised, uint64_t table, int64_t symbol,
                     int64_t first_ticks);
status KERNEL_APPLY(int64_t *result, void **raised, uint64_t table, uint64_t commands,
                    int64_t command_cnt, uint64_t events, int64_t event_cap, uint64_t given);
status KERNEL_BEST(int64_t *result, void **raised, uint64_t table, int64_t symbol, int64_t side,
                   uint64_t out);
status KERNEL_LIVE(int64_t *result, void **raised, uint64_t table);
status KERNEL_RESUME(int64_t *result, void **raised, uint64_t table);

#define CALL(kernel, book, ...) \
    kernel(&result, &raised, (uint64_t)(uintptr_t)(book)->table, ##__VA_ARGS__)
#define ADDRESS(pointer) ((uint64_t)(uintptr_t)(pointer))

/* The sum of the terms, each factor * the product of sizes to their powers. */
static uint64_t extent(const struct plan_extent *plan, const uint64_t *sizes)
{
    unsigned __int128 sum = 0;
    for (int t = 0; t < TERMS && plan->terms[t].factor; t++) {
        const struct plan_term *term = &plan->terms[t];
        unsigned __int128 product = term->factor;
        for (int i = 0; i < SIZES; i++)
            for (int power = 0; power < term->powers[i] && product >> 64 == 0; power++)
                product *= sizes[i];
        sum += product / term->divisor;
    }
    return sum >> 40 ? UINT64_MAX : (uint64_t)sum;
}

static int check(const struct wirematch_sizes *sizes, wirematch **book)
{
    if (!sizes || !book)
        return -EINVAL;
    *book = NULL;
    if (sizes->layout != WM_LAYOUT_DIGEST)
        return -EPROTO;
    if (!sizes->symbols || sizes->symbols > UINT16_MAX || sizes->orders < 2
        || sizes->orders >= 1u << 31 || sizes->lg_ladder < LG_LADDER_MIN
        || sizes->lg_ladder > LG_LADDER_MAX || !sizes->far_cap || sizes->far_levels < 2
        || sizes->far_levels > 1u << 27 || sizes->far_cap >= 1u << 31)
        return -EINVAL;
    uint64_t ladders = (uint64_t)sizes->symbols * LADDERS_A_SYMBOL;
    return ladders << sizes->lg_ladder > 1ull << 30 ? -E2BIG : 0;
}

int wirematch_create(const struct wirematch_sizes *sizes, wirematch **out)
{
    int64_t result = check(sizes, out);
    void *raised = NULL;
    if (result)
        return (int)result;
    const uint64_t extents[SIZES] = {
        sizes->symbols, ((uint64_t)sizes->orders + PAGE_ORDERS - 1) / PAGE_ORDERS,
        1ull << sizes->lg_ladder, sizes->far_cap, sizes->far_levels };
    wirematch *book = calloc(1, sizeof *book);
    if (!book)
        return -ENOMEM;
    for (int i = 0; i < PLAN_CNT; i++) {
        struct array *array = &book->table[i];
        array->rows = extent(&PLAN[i].rows, extents);
        array->columns = extent(&PLAN[i].columns, extents);
        unsigned __int128 size = (unsigned __int128)array->rows * array->columns * PLAN[i].item_sz;
        if (size >> 46 || book->memory_sz >> 46) {
            free(book);
            return -ENOMEM;
        }
        array->address = book->memory_sz;
        book->memory_sz += ((size_t)size + LINE - 1) / LINE * LINE;
    }
    book->memory = mmap(NULL, book->memory_sz, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (book->memory == MAP_FAILED) {
        free(book);
        return -ENOMEM;
    }
    madvise(book->memory, book->memory_sz, MADV_HUGEPAGE);        /* a wish: fewer TLB misses */
    memset(book->memory, 0, book->memory_sz);                     /* no page fault later */
    for (int i = 0; i < PLAN_CNT; i++)
        book->table[i].address += ADDRESS(book->memory);
    book->symbols = sizes->symbols;
    CALL(KERNEL_BEGIN, book, sizes->lg_ladder, sizes->far_cap);
    *out = book;
    return 0;
}

int wirematch_window(wirematch *book, uint32_t symbol, int32_t first_ticks)
{
    int64_t result;
    void *raised;
    if (!book || symbol >= book->symbols || first_ticks < 0)
        return -EINVAL;
    CALL(KERNEL_WINDOW, book, symbol, first_ticks);
    return (int)result;
}

int wirematch_apply(wirematch *book, const struct wm_command *commands, uint64_t command_cnt,
                    struct wm_event *events, uint64_t event_cap, uint64_t *event_cnt)
{
    int64_t result;
    void *raised;
    if (event_cnt)
        *event_cnt = 0;
    if (!book || (!commands && command_cnt) || (!events && event_cap) || !event_cnt
        || command_cnt > 1ull << 40 || event_cap > 1ull << 40)
        return -EINVAL;
    CALL(KERNEL_APPLY, book, ADDRESS(commands), (int64_t)command_cnt, ADDRESS(events),
         (int64_t)event_cap, ADDRESS(event_cnt));
    return (int)result;
}

uint64_t wirematch_room(const wirematch *book, uint64_t command_cnt)
{
    int64_t result = 0;
    void *raised;
    if (!book)
        return 0;
    CALL(KERNEL_LIVE, book);
    return (uint64_t)result + command_cnt * EVENTS_A_COMMAND + EVENTS_SPARE;
}

uint64_t wirematch_resume(const wirematch *book)
{
    int64_t result = 0;
    void *raised;
    if (book)
        CALL(KERNEL_RESUME, book);
    return (uint64_t)result;
}

int wirematch_top(const wirematch *book, uint32_t symbol, uint32_t side,
                  struct wirematch_best *best)
{
    int64_t result;
    void *raised;
    if (!book || !best || symbol >= book->symbols || side > 1)
        return -EINVAL;
    CALL(KERNEL_BEST, book, symbol, side, ADDRESS(best));
    return 0;
}

void wirematch_destroy(wirematch *book)
{
    if (!book)
        return;
    munmap(book->memory, book->memory_sz);
    free(book);
}

const char *wirematch_cpu(void) { return CPU; }

const char *wirematch_strerror(int result)
{
    switch (result) {
    case 0: return "done";
    case -EINVAL: return "a null pointer, or a size, symbol, side or price out of range: see "
                         "wirematch.h for what each function takes";
    case -EPROTO: return "wirematch.h and the library are of two builds: compile against the "
                         "header that lies beside the library";
    case -E2BIG: return "the ladders together have more than 2^30 prices: fewer symbols, or a "
                        "smaller lg_ladder (other prices stay legal)";
    case -ENOMEM: return "no memory for a book of these sizes: fewer orders, symbols or far "
                         "levels, or a smaller lg_ladder";
    case -EBUSY: return "the symbol has orders: set its window before the first one";
    case -ENOBUFS: return "too little room for events: give wirematch_room(book, command_cnt), or "
                          "fewer commands a call; nothing was done";
    case -EAGAIN: return "reserve orders trade more often than there is room for events: take "
                         "these, then call again from command wirematch_resume(book) on";
    case -EBADMSG: return "a command had a field out of range or a handle that is live; it was "
                          "passed over, the others were applied";
    default: return "not a result of this library";
    }
}

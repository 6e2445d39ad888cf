/* The matching core of Wirematch for C and C++: books, commands in, events out, no interpreter.
 *
 *     struct wirematch_sizes sizes = WIREMATCH_SIZES;
 *     wirematch *book;
 *     int result = wirematch_create(&sizes, &book);
 *     struct wm_command order = { .kind = WM_ENTER, .side = 0, .order = 1, .qty = 100,
 *                                 .price_ticks = 10250 };
 *     struct wm_event events[64];
 *     uint64_t event_cnt;
 *     result = wirematch_apply(book, &order, 1, events, 64, &event_cnt);
 *     wirematch_destroy(book);
 *
 * Commands and events are the records of layout.h, which lies beside this file: struct wm_command
 * and struct wm_event, kinds WM_ENTER ... and WM_ACCEPTED .... The library holds the very kernel
 * that the appliance's matcher runs, compiled ahead of time (`wirematch build-core DIR`).
 *
 * An order is named by a handle that the caller chooses, 1 to orders - 1; it may be used again once
 * its order is dead (an event with WM_ORDER_DEAD, or WM_RESTING_DEAD for `resting`).
 *
 * Every function returns 0 or a negative errno; wirematch_strerror says it in words. A book may be
 * used by one thread at a time; books share nothing. Nothing is allocated after create. */
#ifndef WIREMATCH_H
#define WIREMATCH_H

#include <stdint.h>

#ifdef __cplusplus
#define _Static_assert static_assert
#endif
#include "layout.h"
#ifdef __cplusplus
#undef _Static_assert
extern "C" {
#endif

typedef struct wirematch wirematch;

struct wirematch_sizes {
    uint64_t layout;       /* WM_LAYOUT_DIGEST: library and header are of one build */
    uint32_t symbols;      /* 1 to 65,535: command.symbol is below it */
    uint32_t orders;       /* handles, 0 (nobody) included; rounded up to whole pages of 256 */
    uint32_t lg_ladder;    /* 12 to 24: 2^lg_ladder prices a side are a ladder, near the touch */
    uint32_t far_cap;      /* prices of a side outside its ladder at most */
    uint32_t far_levels;   /* prices of all sides outside their ladders, one not used; 2 to 2^27 */
};

/* One symbol, a million orders, a ladder of 16,384 prices. */
#define WIREMATCH_SIZES { WM_LAYOUT_DIGEST, 1, 1u << 20, 14, 32768, 65536 }

/* An empty book; its prices begin at ladder price 0 (wirematch_window moves that).
   -EINVAL a null pointer or a size out of range; -EPROTO header and library are of two builds;
   -E2BIG the ladders together have more than 2^30 prices; -ENOMEM. */
int wirematch_create(const struct wirematch_sizes *sizes, wirematch **book);

/* Which prices are the ladder: first_ticks and those above it. Any other price stays legal, only
   slower. -EBUSY when the symbol has orders; -EINVAL. */
int wirematch_window(wirematch *book, uint32_t symbol, int32_t first_ticks);

/* Applies ENTER, CANCEL, REPLACE and MODIFY commands in order and writes what happened.
   *event_cnt is the number of events written, 0 on any error but -EBADMSG.
   -ENOBUFS event_cap is below wirematch_room: nothing was done; -EBADMSG a command had a field out
   of range or an order handle that is live already: it was passed over, the others were applied
   and their events written; -EINVAL a null pointer. A command whose target is not live is no error
   and gives no event, nor does a MODIFY to more than 999,999 shares.
   In range: qty 1 to 1,048,576, min_qty up to 1,048,575, price_ticks from 0, side 0 or 1; with
   WM_RESERVE min_qty is not 0 and the order neither WM_HIDDEN nor WM_AUCTION.
   -EAGAIN: an order traded with reserve orders more often than there is room for. Take the events,
   then call again with what is left of the same commands, from wirematch_resume on; a call without
   commands is answered -EAGAIN until then. */
int wirematch_apply(wirematch *book, const struct wm_command *commands, uint64_t command_cnt,
                    struct wm_event *events, uint64_t event_cap, uint64_t *event_cnt);

/* Index of the command, of those handed over, at which an apply with -EAGAIN stopped. */
uint64_t wirematch_resume(const wirematch *book);

/* Events for which apply must have room, given that many commands: the orders that are live, each
   of which may end, and some a command. */
uint64_t wirematch_room(const wirematch *book, uint64_t command_cnt);

struct wirematch_best {
    int64_t price_ticks;   /* -1 no buy order, 2147483647 no sell order */
    int64_t qty;           /* open quantity of all orders at that price */
    int64_t orders;        /* how many those are, 0 when the side is empty */
};

/* The best price of a side, 0 buy, 1 sell. -EINVAL a null pointer, no such symbol or side. */
int wirematch_top(const wirematch *book, uint32_t symbol, uint32_t side,
                  struct wirematch_best *best);

/* Gives the book's memory back; null is allowed. */
void wirematch_destroy(wirematch *book);

/* What a result means and what to do. Never null. */
const char *wirematch_strerror(int result);

/* The CPU the library was compiled for, as LLVM names it. */
const char *wirematch_cpu(void);

#ifdef __cplusplus
}
#endif
#endif

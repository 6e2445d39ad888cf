/* What a call of the library costs beside the matching: the least of many short stretches of calls.
 *
 *     cc -O2 cost.c -I. -L. -lwirematch -Wl,-rpath,$PWD -o cost && ./cost
 *
 * A command of kind 0 is passed over by the book, so applying one is the cost of the call alone. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "wirematch.h"

enum { STRETCHES = 20000, CALLS = 64 };

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static wirematch *book;
static struct wm_command command;
static struct wm_event events[64];
static uint64_t event_cnt;

static int nothing(void) { return wirematch_apply(book, &command, 1, events, 64, &event_cnt); }

static int enter_and_cancel(void)
{
    struct wm_command both[2];
    memset(both, 0, sizeof both);
    both[0].kind = WM_ENTER;
    both[0].order = 7;
    both[0].qty = 100;
    both[0].price_ticks = 5000;
    both[1].kind = WM_CANCEL;
    both[1].target = 7;
    int result = wirematch_apply(book, both, 1, events, 64, &event_cnt);
    return result ? result : wirematch_apply(book, both + 1, 1, events, 64, &event_cnt);
}

static int top(void)
{
    struct wirematch_best best;
    return wirematch_top(book, 0, 0, &best);
}

static double least(int (*call)(void))
{
    uint64_t best = UINT64_MAX;
    for (int stretch = 0; stretch < STRETCHES; stretch++) {
        uint64_t began = now_ns();
        for (int i = 0; i < CALLS; i++)
            if (call())
                return -1.0;
        uint64_t took = now_ns() - began;
        best = took < best ? took : best;
    }
    return (double)best / CALLS;
}

int main(void)
{
    struct wirematch_sizes sizes = WIREMATCH_SIZES;
    int result = wirematch_create(&sizes, &book);
    if (result) {
        fprintf(stderr, "wirematch_create: %s\n", wirematch_strerror(result));
        return 1;
    }
    printf("apply_nothing_ns %.1f\n", least(nothing));
    printf("enter_and_cancel_ns %.1f\n", least(enter_and_cancel));
    printf("top_ns %.1f\n", least(top));
    wirematch_destroy(book);
    return 0;
}

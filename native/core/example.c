/* Plays a workload file through the library and prints trades, checksum and rate.
 *
 *     cc -O2 example.c -I. -L. -lwirematch -Wl,-rpath,$PWD -o example
 *     ./example w1.bin [COMMANDS A CALL [MESSAGES]]
 *
 * The file: 32-byte records (order id u64, time u64, price i32, qty u32, symbol u16, op u8,
 * side u8, number u32), ops 1 and 4 enter a limit order, 2 cancels, 3 takes qty off. The checksum
 * is folded over the trades inside the timed loop: for resting, incoming, price, qty. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "wirematch.h"

struct record {
    uint64_t order_id, time_ns;
    int32_t price;
    uint32_t qty;
    uint16_t symbol;
    uint8_t op, side;
    uint32_t number;
};

enum { ADD = 1, CANCEL_ALL = 2, REDUCE = 3, MARKETABLE = 4 };

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0xff51afd7ed558ccdull;
    return hash ^ hash >> 32;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *must(void *memory)
{
    if (!memory) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    return memory;
}

static int fail(const char *tried, int result)
{
    fprintf(stderr, "%s: %s\n", tried, wirematch_strerror(result));
    return 1;
}

/* A record's command; totals[id] is what the order's owner wants executed in the end. */
static struct wm_command command_of(const struct record *record, uint32_t *totals)
{
    struct wm_command command;
    memset(&command, 0, sizeof command);
    command.side = record->side;
    command.symbol = record->symbol;
    if (record->op == ADD || record->op == MARKETABLE) {
        command.kind = WM_ENTER;
        command.order = (wm_u32)record->order_id;
        command.qty = record->qty;
        command.price_ticks = record->price;
        totals[record->order_id] = record->qty;
        return command;
    }
    command.kind = WM_CANCEL;
    command.target = (wm_u32)record->order_id;
    if (record->op == REDUCE)
        command.qty = totals[record->order_id] -= record->qty;
    return command;
}

int main(int argc, char **argv)
{
    uint64_t batch = argc > 2 ? strtoull(argv[2], NULL, 10) : 64;
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (!file || !batch) {
        fprintf(stderr, "usage: %s FILE [COMMANDS A CALL [MESSAGES]]\n", argv[0]);
        return 2;
    }
    fseek(file, 0, SEEK_END);
    uint64_t cnt = (uint64_t)ftell(file) / sizeof(struct record);
    if (argc > 3 && strtoull(argv[3], NULL, 10) < cnt)
        cnt = strtoull(argv[3], NULL, 10);
    rewind(file);
    struct record *records = must(malloc((cnt + 1) * sizeof *records));
    struct wm_command *commands = must(malloc((cnt + 1) * sizeof *commands));
    if (fread(records, sizeof *records, cnt, file) != cnt) {
        fprintf(stderr, "%s: cannot be read\n", argv[1]);
        return 1;
    }
    fclose(file);
    uint32_t symbols = 1, orders = 1;
    for (uint64_t i = 0; i < cnt; i++) {
        symbols = records[i].symbol >= symbols ? records[i].symbol + 1u : symbols;
        orders = records[i].order_id > orders ? (uint32_t)records[i].order_id : orders;
    }
    uint32_t *totals = must(calloc(orders + 1u, sizeof *totals));
    for (uint64_t i = 0; i < cnt; i++)
        commands[i] = command_of(&records[i], totals);

    struct wirematch_sizes sizes = WIREMATCH_SIZES;
    sizes.symbols = symbols;
    sizes.orders = orders + 1;
    sizes.lg_ladder = 15;
    wirematch *book;
    int result = wirematch_create(&sizes, &book);
    if (result)
        return fail("wirematch_create", result);
    uint64_t cap = orders + wirematch_room(book, batch), event_cnt, trades = 0;
    struct wm_event *events = must(calloc(cap, sizeof *events));
    uint64_t hash = 0x9E3779B97F4A7C15ull;
    double began = now_s();
    for (uint64_t at = 0; at < cnt; at += batch) {
        uint64_t some = cnt - at < batch ? cnt - at : batch;
        result = wirematch_apply(book, commands + at, some, events, cap, &event_cnt);
        if (result)
            return fail("wirematch_apply", result);
        for (uint64_t i = 0; i < event_cnt; i++) {
            if (events[i].kind != WM_TRADE)
                continue;
            trades++;
            hash = mix(mix(mix(mix(hash, events[i].resting), events[i].order),
                           (uint64_t)events[i].price_ticks), events[i].qty);
        }
    }
    double took = now_s() - began;
    printf("messages %llu\ntrades %llu\nchecksum %016llx\n", (unsigned long long)cnt,
           (unsigned long long)trades, (unsigned long long)hash);
    for (uint32_t side = 0; side < 2; side++) {
        struct wirematch_best best;
        wirematch_top(book, 0, side, &best);
        printf("%s %lld %lld %lld\n", side ? "ask" : "bid", (long long)best.price_ticks,
               (long long)best.qty, (long long)best.orders);
    }
    fprintf(stderr, "%.1f M messages/s, %llu a call, compiled for %s\n", (double)cnt / took / 1e6,
            (unsigned long long)batch, wirematch_cpu());
    wirematch_destroy(book);
    free(events);
    free(totals);
    free(commands);
    free(records);
    return 0;
}

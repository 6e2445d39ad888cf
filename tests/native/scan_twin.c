/* Every price scan that this CPU has against a plain loop: all short lengths, random long ones, the
   ends of the 32-bit range, and arrays that end where memory ends. Prints what it has compared;
   status 1 on the first difference. Built for any CPU with native/scan.c alone. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "native.h"

enum { LONGEST = 20000, VARIANTS = 4 };

static const char *names[VARIANTS] = { "scalar", "AVX2", "AVX-512", "NEON" };
static int64_t compared[VARIANTS];
static uint64_t state = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static int64_t plain(const int32_t *prices, int64_t cnt, int32_t wanted)
{
    int64_t at = 0;
    while (at < cnt && prices[at] < wanted)
        at++;
    return at;
}

static void compare(const int32_t *prices, int64_t cnt, int32_t wanted)
{
    int64_t right = plain(prices, cnt, wanted);
    for (int32_t variant = 0; variant < VARIANTS; variant++) {
        int64_t found = wm_scan_with(variant, prices, cnt, wanted);
        if (found == -ENOTSUP)
            continue;
        if (found != right || wm_scan(prices, cnt, wanted) != right) {
            printf("%s: %lld prices, wanted %d: %lld, should be %lld\n", names[variant],
                   (long long)cnt, wanted, (long long)found, (long long)right);
            exit(1);
        }
        compared[variant]++;
    }
}

/* The array's last price is the last word in front of a page that may not be touched. */
static int32_t *before_the_wall(int64_t cnt)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = ((size_t)LONGEST * sizeof(int32_t) / page + 1) * page;
    static char *memory;
    if (!memory) {
        memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);
        if (memory == MAP_FAILED || mprotect(memory + room, page, PROT_NONE))
            exit(2);
    }
    return (int32_t *)(memory + room) - cnt;
}

static void lengths(int64_t cnt, int32_t step)
{
    int32_t *prices = before_the_wall(cnt);
    int64_t price = step ? -(int64_t)cnt * step / 2 : INT_MIN;
    for (int64_t i = 0; i < cnt; i++) {
        prices[i] = (int32_t)price;
        price += step ? 1 + (int64_t)draw((uint64_t)step) : (int64_t)(4294967295u / cnt);
    }
    if (cnt && !step)
        prices[cnt - 1] = INT_MAX;
    compare(prices, cnt, INT_MIN);
    compare(prices, cnt, INT_MAX);
    compare(prices, cnt, 0);
    for (int64_t tries = 0; cnt && tries < 24; tries++) {
        int32_t near = prices[draw((uint64_t)cnt)];
        compare(prices, cnt, near);
        compare(prices, cnt, near == INT_MIN ? near : near - 1);
        compare(prices, cnt, near == INT_MAX ? near : near + 1);
    }
}

int main(void)
{
    for (int64_t cnt = 0; cnt <= 600; cnt++) {
        lengths(cnt, 0);
        lengths(cnt, 1);
        lengths(cnt, 9);
    }
    for (int round = 0; round < 200; round++)
        lengths((int64_t)draw(LONGEST) + 1, 50);
    if (wm_scan(NULL, -1, 0) >= 0 || wm_scan_with(VARIANTS, NULL, 0, 0) >= 0)
        return 1;
    for (int variant = 0; variant < VARIANTS; variant++)
        if (compared[variant])
            printf("%s: equal in %lld scans\n", names[variant], (long long)compared[variant]);
    printf("chosen: %s\n", names[wm_scan_best()]);
    return 0;
}

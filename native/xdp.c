/* BPF objects, programs, links and maps through libbpf. Attachment is by bpf_link only: when the
   last descriptor closes, also by a crash, the kernel detaches. Without libbpf's headers (a machine
   that has only the socket rung) every function here answers ENOSYS. */
#include "native.h"
#ifndef WM_NO_BPF
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct wm_bpf { struct bpf_object *object; };

static __thread char *log_next;
static __thread size_t log_room;

static int keep_words(enum libbpf_print_level level, const char *format, va_list arguments)
{
    if (level == LIBBPF_DEBUG || log_room < 2)
        return 0;
    int wanted = vsnprintf(log_next, log_room, format, arguments);
    size_t used = wanted < 0 ? 0 : (size_t)wanted < log_room ? (size_t)wanted : log_room - 1;
    log_next += used;
    log_room -= used;
    return 0;
}

static int32_t own_copy(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? -errno : copy;
}

static int32_t answer(int result) { return result < 0 ? (errno ? -errno : result) : result; }

static int32_t resize(struct bpf_object *object, const char *const *maps, const uint32_t *entries,
                      int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        struct bpf_map *map = bpf_object__find_map_by_name(object, maps[i]);
        int result = map ? bpf_map__set_max_entries(map, entries[i]) : -ENOENT;
        if (result)
            return result;
    }
    return 0;
}

int32_t wm_bpf_open(const char *path, wm_bpf **out, char *log, uint32_t log_sz)
{
    return wm_bpf_open_sized(path, NULL, NULL, 0, out, log, log_sz);
}

int32_t wm_bpf_open_sized(const char *path, const char *const *maps, const uint32_t *entries,
                          int32_t count, wm_bpf **out, char *log, uint32_t log_sz)
{
    libbpf_set_print(keep_words);
    log_next = log;
    log_room = log ? log_sz : 0;
    if (log_room)
        log[0] = 0;
    *out = NULL;
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    int32_t result = object ? resize(object, maps, entries, count) : -errno;
    if (!result)
        result = bpf_object__load(object);
    log_room = 0;
    if (result < 0) {
        bpf_object__close(object);
        return result;
    }
    *out = malloc(sizeof **out);
    if (!*out) {
        bpf_object__close(object);
        return -ENOMEM;
    }
    (*out)->object = object;
    return 0;
}

int32_t wm_bpf_program(wm_bpf *handle, const char *name)
{
    struct bpf_program *program = bpf_object__find_program_by_name(handle->object, name);
    return program ? own_copy(bpf_program__fd(program)) : -ENOENT;
}

int32_t wm_bpf_map(wm_bpf *handle, const char *name)
{
    int fd = bpf_object__find_map_fd_by_name(handle->object, name);
    return fd < 0 ? -ENOENT : own_copy(fd);
}

int32_t wm_bpf_close(wm_bpf *handle)
{
    bpf_object__close(handle->object);
    free(handle);
    return 0;
}

int32_t wm_map_set(int32_t map_fd, const void *key, const void *value, uint64_t flags)
{
    return answer(bpf_map_update_elem(map_fd, key, value, flags));
}

int32_t wm_map_get(int32_t map_fd, const void *key, void *value)
{
    return answer(bpf_map_lookup_elem(map_fd, key, value));
}

int32_t wm_map_delete(int32_t map_fd, const void *key)
{
    return answer(bpf_map_delete_elem(map_fd, key));
}

int32_t wm_map_next(int32_t map_fd, const void *key, void *next_key)
{
    return answer(bpf_map_get_next_key(map_fd, key, next_key));
}

static int32_t map_info(int32_t map_fd, struct bpf_map_info *info)
{
    uint32_t sz = sizeof *info;
    memset(info, 0, sizeof *info);
    return answer(bpf_obj_get_info_by_fd(map_fd, info, &sz));
}

int64_t wm_map_id(int32_t map_fd)
{
    struct bpf_map_info info;
    int32_t result = map_info(map_fd, &info);
    return result < 0 ? result : (int64_t)info.id;
}

int64_t wm_map_value_size(int32_t map_fd)
{
    struct bpf_map_info info;
    int32_t result = map_info(map_fd, &info);
    return result < 0 ? result : (int64_t)info.value_size;
}

int32_t wm_map_freeze(int32_t map_fd) { return answer(bpf_map_freeze(map_fd)); }

int32_t wm_possible_cpus(void) { return libbpf_num_possible_cpus(); }

int32_t wm_xdp_attach(int32_t program_fd, uint32_t ifindex, uint32_t flags)
{
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
    return answer(bpf_link_create(program_fd, (int)ifindex, BPF_XDP, &options));
}

int32_t wm_xdp_update(int32_t link_fd, int32_t program_fd, int32_t expected_old_fd)
{
    LIBBPF_OPTS(bpf_link_update_opts, options);
    if (expected_old_fd >= 0) {
        options.flags = BPF_F_REPLACE;
        options.old_prog_fd = (uint32_t)expected_old_fd;
    }
    return answer(bpf_link_update(link_fd, program_fd, &options));
}

int32_t wm_xdp_link_info(int32_t link_fd, uint32_t *out)
{
    struct bpf_link_info info;
    uint32_t sz = sizeof info;
    memset(&info, 0, sizeof info);
    int32_t result = answer(bpf_obj_get_info_by_fd(link_fd, &info, &sz));
    if (result < 0)
        return result;
    out[0] = info.xdp.ifindex;
    out[1] = info.prog_id;
    out[2] = info.id;
    return 0;
}

int64_t wm_xdp_attached(uint32_t ifindex)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);
    int result = bpf_xdp_query((int)ifindex, 0, &query);
    if (result < 0)
        return result;
    return query.prog_id ? query.prog_id
         : query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
}

int64_t wm_bpf_program_id(int32_t program_fd)
{
    struct bpf_prog_info info;
    uint32_t sz = sizeof info;
    memset(&info, 0, sizeof info);
    int32_t result = answer(bpf_obj_get_info_by_fd(program_fd, &info, &sz));
    return result < 0 ? result : (int64_t)info.id;
}

int32_t wm_xdp_test_run(int32_t program_fd, const void *packet, uint32_t sz, uint32_t ifindex,
                        uint32_t queue, uint32_t repeat, void *out, uint32_t out_sz,
                        uint32_t *result)
{
    struct xdp_md in = { .data_end = sz, .ingress_ifindex = ifindex, .rx_queue_index = queue };
    struct xdp_md after;
    memset(&after, 0, sizeof after);
    LIBBPF_OPTS(bpf_test_run_opts, options,
        .data_in = packet, .data_size_in = sz, .data_out = out, .data_size_out = out ? out_sz : 0,
        .ctx_in = &in, .ctx_size_in = sizeof in, .ctx_out = &after, .ctx_size_out = sizeof after,
        .repeat = (int)repeat);
    int32_t failed = answer(bpf_prog_test_run_opts(program_fd, &options));
    if (failed < 0)
        return failed;
    result[0] = options.retval;
    result[1] = options.duration;
    result[2] = options.data_size_out;
    result[3] = after.data - after.data_meta;
    return 0;
}

#define TEST_ROOM 8192                  /* metadata and a packet of a page */

int64_t wm_xdp_test_batch(int32_t program_fd, const uint8_t *data, const int64_t *offs,
                          const uint32_t *lengths, const uint32_t *places, int64_t count,
                          uint8_t *verdicts, uint8_t *marks, int64_t *error)
{
    uint8_t out[TEST_ROOM];
    uint32_t result[4];
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *packet = data + offs[i];
        error[0] = wm_xdp_test_run(program_fd, packet, lengths[i], places[2 * i],
                                   places[2 * i + 1], 1, out, sizeof out, result);
        if (error[0] < 0)
            return i;
        int same = result[2] == result[3] + lengths[i]
                   && memcmp(out + result[3], packet, lengths[i]) == 0;
        verdicts[i] = (uint8_t)result[0];
        marks[i] = (uint8_t)((result[3] & 127) | (same ? 0 : 128));
    }
    error[0] = 0;
    return count;
}

int32_t wm_xdp_live_run(int32_t program_fd, const void *packet, uint32_t sz, uint32_t ifindex,
                        uint32_t queue, uint32_t repeat, uint32_t batch)
{
    struct xdp_md in = { .data_end = sz, .ingress_ifindex = ifindex, .rx_queue_index = queue };
    LIBBPF_OPTS(bpf_test_run_opts, options,
        .data_in = packet, .data_size_in = sz, .ctx_in = &in, .ctx_size_in = sizeof in,
        .repeat = (int)repeat, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = batch);
    return answer(bpf_prog_test_run_opts(program_fd, &options));
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Sleeps until then; 0, or -EINTR when a signal came. */
static int sleep_until(int64_t then)
{
    struct timespec at = { .tv_sec = then / 1000000000, .tv_nsec = then % 1000000000 };
    return then > now_ns() ? -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) : 0;
}

int64_t wm_xdp_live_paced(int32_t program_fd, const void *frame, uint32_t sz, uint32_t ifindex,
                          const int64_t *due_ns, int64_t start, int64_t stop, int64_t zero_ns,
                          int64_t deadline_ns, int64_t lead_ns, int64_t gap_ns,
                          int64_t together_ns, uint32_t batch, uint64_t *turn, int64_t *error)
{
    int64_t at = start, end = stop;
    error[0] = 0;
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);     /* a sleep may end 50 us late without */
    while (at < stop && (at == start || now_ns() < deadline_ns)) {
        uint32_t most = batch;
        if (due_ns) {
            int64_t first = due_ns[at] + zero_ns - lead_ns;
            int interrupted = sleep_until(first < deadline_ns ? first : deadline_ns);
            if (interrupted || first >= deadline_ns)
                break;
            for (end = at + 1; end < stop && due_ns[end] - due_ns[end - 1] <= gap_ns
                               && due_ns[end] + zero_ns < deadline_ns; end++)
                ;
            int64_t span = due_ns[end - 1] - due_ns[at];
            int64_t fit = span > 0 ? (end - at) * together_ns / span : batch;
            most = fit < 1 ? 1 : fit < batch ? (uint32_t)fit : batch;
        }
        *turn = (uint64_t)at;
        int32_t result = wm_xdp_live_run(program_fd, frame, sz, ifindex, 0, (uint32_t)(end - at),
                                         most);
        at = (int64_t)*(volatile uint64_t *)turn;
        if (result < 0 && result != -EINTR) {
            error[0] = result;
            break;
        }
        if (result < 0)
            break;
    }
    return at - start;
}

#else /* WM_NO_BPF */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define ABSENT { return -ENOSYS; }
int32_t wm_bpf_open(const char *p, wm_bpf **o, char *l, uint32_t s) ABSENT
int32_t wm_bpf_open_sized(const char *p, const char *const *m, const uint32_t *e, int32_t c,
                          wm_bpf **o, char *l, uint32_t s) ABSENT
int32_t wm_bpf_program(wm_bpf *o, const char *n) ABSENT
int32_t wm_bpf_map(wm_bpf *o, const char *n) ABSENT
int32_t wm_bpf_close(wm_bpf *o) ABSENT
int32_t wm_map_set(int32_t f, const void *k, const void *v, uint64_t g) ABSENT
int32_t wm_map_get(int32_t f, const void *k, void *v) ABSENT
int32_t wm_map_delete(int32_t f, const void *k) ABSENT
int32_t wm_map_next(int32_t f, const void *k, void *n) ABSENT
int64_t wm_map_id(int32_t f) ABSENT
int64_t wm_map_value_size(int32_t f) ABSENT
int32_t wm_map_freeze(int32_t f) ABSENT
int32_t wm_possible_cpus(void) ABSENT
int32_t wm_xdp_attach(int32_t p, uint32_t i, uint32_t f) ABSENT
int32_t wm_xdp_update(int32_t l, int32_t p, int32_t e) ABSENT
int32_t wm_xdp_link_info(int32_t l, uint32_t *o) ABSENT
int64_t wm_xdp_attached(uint32_t i) ABSENT
int64_t wm_bpf_program_id(int32_t p) ABSENT
int32_t wm_xdp_test_run(int32_t p, const void *d, uint32_t s, uint32_t i, uint32_t q, uint32_t r,
                        void *o, uint32_t z, uint32_t *t) ABSENT
int64_t wm_xdp_test_batch(int32_t p, const uint8_t *d, const int64_t *o, const uint32_t *l,
                          const uint32_t *w, int64_t c, uint8_t *v, uint8_t *m,
                          int64_t *e) ABSENT
int32_t wm_xdp_live_run(int32_t p, const void *d, uint32_t s, uint32_t i, uint32_t q, uint32_t r,
                        uint32_t b) ABSENT
int64_t wm_xdp_live_paced(int32_t p, const void *f, uint32_t s, uint32_t i, const int64_t *d,
                          int64_t a, int64_t b, int64_t z, int64_t e, int64_t l, int64_t g,
                          int64_t t, uint32_t n, uint64_t *u, int64_t *r) ABSENT
#endif

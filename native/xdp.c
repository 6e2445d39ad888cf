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

int32_t wm_bpf_open(const char *path, wm_bpf **out, char *log, uint32_t log_sz)
{
    libbpf_set_print(keep_words);
    log_next = log;
    log_room = log ? log_sz : 0;
    if (log_room)
        log[0] = 0;
    *out = NULL;
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    int32_t result = object ? bpf_object__load(object) : -errno;
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

int32_t wm_xdp_live_run(int32_t program_fd, const void *packet, uint32_t sz, uint32_t ifindex,
                        uint32_t queue, uint32_t repeat, uint32_t batch)
{
    struct xdp_md in = { .data_end = sz, .ingress_ifindex = ifindex, .rx_queue_index = queue };
    LIBBPF_OPTS(bpf_test_run_opts, options,
        .data_in = packet, .data_size_in = sz, .ctx_in = &in, .ctx_size_in = sizeof in,
        .repeat = (int)repeat, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = batch);
    return answer(bpf_prog_test_run_opts(program_fd, &options));
}

#else /* WM_NO_BPF */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define ABSENT { return -ENOSYS; }
int32_t wm_bpf_open(const char *p, wm_bpf **o, char *l, uint32_t s) ABSENT
int32_t wm_bpf_program(wm_bpf *o, const char *n) ABSENT
int32_t wm_bpf_map(wm_bpf *o, const char *n) ABSENT
int32_t wm_bpf_close(wm_bpf *o) ABSENT
int32_t wm_map_set(int32_t f, const void *k, const void *v, uint64_t g) ABSENT
int32_t wm_map_get(int32_t f, const void *k, void *v) ABSENT
int32_t wm_map_delete(int32_t f, const void *k) ABSENT
int32_t wm_map_next(int32_t f, const void *k, void *n) ABSENT
int32_t wm_possible_cpus(void) ABSENT
int32_t wm_xdp_attach(int32_t p, uint32_t i, uint32_t f) ABSENT
int32_t wm_xdp_update(int32_t l, int32_t p, int32_t e) ABSENT
int32_t wm_xdp_link_info(int32_t l, uint32_t *o) ABSENT
int64_t wm_xdp_attached(uint32_t i) ABSENT
int64_t wm_bpf_program_id(int32_t p) ABSENT
int32_t wm_xdp_test_run(int32_t p, const void *d, uint32_t s, uint32_t i, uint32_t q, uint32_t r,
                        void *o, uint32_t z, uint32_t *t) ABSENT
int32_t wm_xdp_live_run(int32_t p, const void *d, uint32_t s, uint32_t i, uint32_t q, uint32_t r,
                        uint32_t b) ABSENT
#endif

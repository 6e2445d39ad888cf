/* Measuring: what a burst of equal datagrams costs its sender, by UDP sockets. wm_bare_bursts of
   bare.c does the same through an AF_XDP ring. */
#include "native.h"
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { MOST = 64, ROOM = 65507 };             /* segments of one call, bytes of one call */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int32_t send_segmented(int32_t fd, const struct sockaddr_in *target, uint8_t *buffer,
                              const uint8_t *payload, uint32_t sz, int32_t burst)
{
    int32_t fits = (int32_t)(ROOM / sz) < MOST ? (int32_t)(ROOM / sz) : MOST;
    for (int32_t left = burst; left > 0;) {
        int32_t cnt = left < fits ? left : fits;
        for (int32_t i = 0; i < cnt; i++)
            memcpy(buffer + (size_t)i * sz, payload, sz);
        struct iovec part = { buffer, (size_t)cnt * sz };
        union { char room[CMSG_SPACE(2)]; struct cmsghdr align; } control = { { 0 } };
        struct msghdr message = { .msg_name = (void *)(uintptr_t)target,
                                  .msg_namelen = target ? sizeof *target : 0,
                                  .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = sizeof control };
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = IPPROTO_UDP;
        head->cmsg_type = UDP_SEGMENT;
        head->cmsg_len = CMSG_LEN(2);
        uint16_t segment_sz = (uint16_t)sz;
        memcpy(CMSG_DATA(head), &segment_sz, 2);
        if (sendmsg(fd, &message, MSG_DONTWAIT) < 0)
            return -errno;
        left -= cnt;
    }
    return 0;
}

static int32_t send_many(int32_t fd, const struct sockaddr_in *target, const uint8_t *payload,
                         uint32_t sz, int32_t burst)
{
    struct mmsghdr messages[MOST];
    struct iovec part = { (void *)(uintptr_t)payload, sz };
    for (int32_t left = burst; left > 0;) {
        int32_t cnt = left < MOST ? left : MOST;
        for (int32_t i = 0; i < cnt; i++)
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = (void *)(uintptr_t)target, .msg_namelen = target ? sizeof *target : 0,
                .msg_iov = &part, .msg_iovlen = 1 };
        int sent = sendmmsg(fd, messages, (unsigned)cnt, MSG_DONTWAIT);
        if (sent < 0)
            return -errno;
        left -= sent;
    }
    return 0;
}

int32_t wm_udp_bursts(int32_t fd, uint32_t ip_be, uint32_t udp_port_be, const uint8_t *payload,
                      uint32_t sz, int32_t burst, int32_t count, int32_t segmented,
                      uint64_t *burst_ns)
{
    static uint8_t buffer[ROOM];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = (uint16_t)udp_port_be,
                                   .sin_addr.s_addr = ip_be };
    const struct sockaddr_in *target = ip_be ? &address : NULL;
    if (!sz || sz > ROOM)
        return -EINVAL;
    for (int32_t i = 0; i < count; i++) {
        uint64_t begun = now_ns();
        int32_t result = segmented ? send_segmented(fd, target, buffer, payload, sz, burst)
                                   : send_many(fd, target, payload, sz, burst);
        burst_ns[i] = now_ns() - begun;
        if (result)
            return result;
    }
    return count;
}

/* Sending what a capture holds: whole frames through a packet socket that goes past the queueing
   discipline, or payloads through UDP sockets; and waiting for the next one's time. */
#include "native.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BURST = 64 };

int32_t wm_inject_socket(uint32_t ifindex)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_ll place = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex };
    int on = 1;
    if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on)
        || bind(fd, (struct sockaddr *)&place, sizeof place)) {
        int32_t result = -errno;
        close(fd);
        return result;
    }
    return fd;
}

int64_t wm_inject_frames(int32_t fd, const uint8_t *data, const int64_t *offs,
                         const uint32_t *lengths, int64_t start, int64_t stop, int64_t *error)
{
    struct mmsghdr messages[BURST];
    struct iovec parts[BURST];
    int64_t at = start;
    memset(messages, 0, sizeof messages);
    error[0] = 0;
    while (at < stop) {
        int run = stop - at < BURST ? (int)(stop - at) : BURST;
        for (int i = 0; i < run; i++) {
            parts[i] = (struct iovec){ (void *)(uintptr_t)(data + offs[at + i]), lengths[at + i] };
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        int left = sendmmsg(fd, messages, (unsigned)run, 0);
        if (left < 0) {
            error[0] = -errno;
            break;
        }
        at += left;                           /* a short count: the next call tells the reason */
    }
    return at - start;
}

int64_t wm_inject_payloads(const int32_t *fds, const uint16_t *fd_idx, const uint8_t *data,
                           const int64_t *offs, const uint32_t *lengths, const uint32_t *ips_be,
                           const uint16_t *ports_be, int64_t start, int64_t stop, int64_t *error)
{
    struct mmsghdr messages[BURST];
    struct iovec parts[BURST];
    struct sockaddr_in targets[BURST];
    int64_t at = start;
    memset(messages, 0, sizeof messages);
    error[0] = 0;
    while (at < stop) {
        int run = 0;
        for (; run < BURST && at + run < stop && fd_idx[at + run] == fd_idx[at]; run++) {
            int64_t this = at + run;
            targets[run] = (struct sockaddr_in){ .sin_family = AF_INET };
            memcpy(&targets[run].sin_addr, ips_be + this, 4);
            memcpy(&targets[run].sin_port, ports_be + this, 2);
            parts[run] = (struct iovec){ (void *)(uintptr_t)(data + offs[this]), lengths[this] };
            messages[run].msg_hdr = (struct msghdr){
                .msg_name = &targets[run], .msg_namelen = sizeof targets[run],
                .msg_iov = &parts[run], .msg_iovlen = 1,
            };
        }
        int left = sendmmsg(fds[fd_idx[at]], messages, (unsigned)run, 0);
        if (left < 0) {
            error[0] = -errno;
            break;
        }
        at += left;
    }
    return at - start;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t wm_inject_wait(const int64_t *due_ns, int64_t start, int64_t stop, int64_t zero_ns,
                       int64_t deadline_ns, int64_t spin_ns)
{
    int64_t wake_ns = due_ns[start] + zero_ns, now = now_ns();
    if (wake_ns > deadline_ns)
        wake_ns = deadline_ns;
    if (wake_ns - now > spin_ns) {
        int64_t until = wake_ns - spin_ns;
        struct timespec at = { .tv_sec = until / 1000000000, .tv_nsec = until % 1000000000 };
        if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
            return 0;
        now = now_ns();
    }
    while (now < wake_ns)
        now = now_ns();
    int64_t at = start;
    while (at < stop && due_ns[at] + zero_ns <= now)
        at++;
    return at - start;
}

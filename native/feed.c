/* Feed B where it leaves by an interface of its own: packets out of the feed's log, which is not
   copied here. Neighbours of one size, and a shorter one behind them, leave as one message that the
   kernel cuts up (UDP_SEGMENT); all messages leave with one call. */
#include "native.h"
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { MOST = 64, HEAD_SZ = 20, ROOM = 65507 };   /* packets, a MoldUDP64 header, bytes a message */

struct packet {
    uint8_t head[24];
    uint64_t off, sz;                             /* blocks in the log */
};

union control { char room[CMSG_SPACE(2)]; struct cmsghdr align; };

/* How many of the packets from `first` on go into one message. */
static int32_t run_of(const struct packet *packets, int32_t first, int32_t count)
{
    uint64_t sz = packets[first].sz, total = HEAD_SZ + sz;
    int32_t end = first + 1;
    for (; end < count && packets[end].sz <= sz; end++) {
        total += HEAD_SZ + packets[end].sz;
        if (total > ROOM)
            break;
        if (packets[end].sz < sz)
            return end + 1 - first;
    }
    return end - first;
}

static void ask_to_cut(struct msghdr *message, union control *control, uint64_t sz)
{
    uint16_t segment_sz = (uint16_t)(HEAD_SZ + sz);
    message->msg_control = control;
    message->msg_controllen = sizeof *control;
    struct cmsghdr *head = CMSG_FIRSTHDR(message);
    head->cmsg_level = IPPROTO_UDP;
    head->cmsg_type = UDP_SEGMENT;
    head->cmsg_len = CMSG_LEN(2);
    memcpy(CMSG_DATA(head), &segment_sz, 2);
}

int32_t wm_feed_tx(int32_t fd, uint32_t ip, uint32_t udp_port, const uint8_t *log,
                   const uint8_t *packets_of, int32_t count, int32_t segmented, int64_t *error)
{
    const struct packet *packets = (const struct packet *)(const void *)packets_of;
    struct mmsghdr messages[MOST];
    union control controls[MOST];
    struct iovec parts[2 * MOST];
    int32_t begins[MOST + 1], run, message_cnt = 0, sent = 0;
    struct sockaddr_in target = { .sin_family = AF_INET, .sin_port = htons((uint16_t)udp_port),
                                  .sin_addr.s_addr = htonl(ip) };
    error[0] = 0;
    if (count > MOST)
        count = MOST;
    for (int32_t i = 0; i < count; i++) {
        parts[2 * i] = (struct iovec){ (void *)(uintptr_t)packets[i].head, HEAD_SZ };
        parts[2 * i + 1] = (struct iovec){ (void *)(uintptr_t)(log + packets[i].off),
                                           packets[i].sz };
    }
    for (int32_t first = 0; first < count; first += run) {
        run = segmented ? run_of(packets, first, count) : 1;
        messages[message_cnt].msg_hdr = (struct msghdr){
            .msg_name = &target, .msg_namelen = sizeof target, .msg_iov = &parts[2 * first],
            .msg_iovlen = (size_t)(2 * run),
        };
        if (run > 1)
            ask_to_cut(&messages[message_cnt].msg_hdr, &controls[message_cnt], packets[first].sz);
        begins[message_cnt++] = first;
    }
    begins[message_cnt] = count;
    while (sent < message_cnt) {
        int left = sendmmsg(fd, messages + sent, (unsigned)(message_cnt - sent), MSG_DONTWAIT);
        if (left < 0) {
            error[0] = -errno;
            break;
        }
        sent += left;                         /* a short count: the next call tells the reason */
    }
    return begins[sent];
}

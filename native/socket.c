/* The plain-socket rung: bursts of datagrams with made-up headers, so that one parser reads every
   rung, and a filter that keeps the order socket silent while AF_XDP is active.

   A slot, on receive and on send:  Ethernet 14 (MACs zero) | IPv4 20 | UDP 8 | payload at +42 */
#include "native.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { BURST = 64, SLOT_SZ = 2048, HEADER_SZ = 42, ROOM = SLOT_SZ - HEADER_SZ, FLAG_CUT = 1 };

static void write_headers(uint8_t *slot, uint32_t sz, const struct sockaddr_in *source,
                          uint32_t local_ip_be, uint16_t local_udp_port_be)
{
    uint16_t total_sz_be = htons((uint16_t)(sz + 28)), udp_sz_be = htons((uint16_t)(sz + 8));
    memset(slot, 0, HEADER_SZ);
    slot[12] = 0x08;                          /* EtherType IPv4 */
    slot[14] = 0x45;                          /* version 4, five words */
    memcpy(slot + 16, &total_sz_be, 2);
    slot[20] = 0x40;                          /* do not fragment */
    slot[22] = 64;                            /* time to live */
    slot[23] = IPPROTO_UDP;
    memcpy(slot + 26, &source->sin_addr, 4);
    memcpy(slot + 30, &local_ip_be, 4);
    memcpy(slot + 34, &source->sin_port, 2);
    memcpy(slot + 36, &local_udp_port_be, 2);
    memcpy(slot + 38, &udp_sz_be, 2);         /* the UDP checksum stays 0: the kernel judged it */
}

int32_t wm_socket_rx(int32_t fd, uint8_t *frames, uint64_t first_off, int32_t max,
                     uint64_t *descs, uint32_t local_ip_be, uint32_t local_udp_port_be)
{
    struct mmsghdr messages[BURST];
    struct iovec parts[BURST];
    struct sockaddr_in sources[BURST];
    if (max > BURST)
        max = BURST;
    for (int i = 0; i < max; i++) {
        parts[i] = (struct iovec){ frames + first_off + (uint64_t)i * SLOT_SZ + HEADER_SZ, ROOM };
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &sources[i], .msg_namelen = sizeof sources[i],
            .msg_iov = &parts[i], .msg_iovlen = 1,
        };
    }
    int count = recvmmsg(fd, messages, (unsigned)max, MSG_DONTWAIT, NULL);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        uint64_t slot_off = first_off + (uint64_t)i * SLOT_SZ;
        uint32_t sz = messages[i].msg_len < ROOM ? messages[i].msg_len : ROOM;
        uint32_t flags = messages[i].msg_hdr.msg_flags & MSG_TRUNC ? FLAG_CUT : 0;
        write_headers(frames + slot_off, sz, &sources[i], local_ip_be, (uint16_t)local_udp_port_be);
        descs[2 * i] = slot_off;
        descs[2 * i + 1] = (uint64_t)(sz + HEADER_SZ) | (uint64_t)flags << 32;
    }
    return count;
}

static int is_multicast(const uint8_t *packet) { return packet[30] >> 4 == 0xE; }

int32_t wm_socket_tx(int32_t unicast_fd, int32_t multicast_fd, const uint8_t *frames,
                     const uint64_t *descs, uint64_t mask, uint64_t head, int32_t count,
                     int64_t *error)
{
    struct mmsghdr messages[BURST];
    struct iovec parts[BURST];
    struct sockaddr_in targets[BURST];
    int32_t sent = 0;
    error[0] = 0;
    while (sent < count) {
        int run = 0, multicast = 0;
        for (; run < BURST && sent + run < count; run++) {
            const uint64_t *desc = descs + 2 * ((head + (uint64_t)(sent + run)) & mask);
            const uint8_t *packet = frames + desc[0];
            if (!run)
                multicast = is_multicast(packet);
            else if (is_multicast(packet) != multicast)
                break;
            targets[run] = (struct sockaddr_in){ .sin_family = AF_INET };
            memcpy(&targets[run].sin_addr, packet + 30, 4);
            memcpy(&targets[run].sin_port, packet + 36, 2);
            parts[run] = (struct iovec){ (void *)(uintptr_t)(packet + HEADER_SZ),
                                         (uint32_t)desc[1] - HEADER_SZ };
            messages[run].msg_hdr = (struct msghdr){
                .msg_name = &targets[run], .msg_namelen = sizeof targets[run],
                .msg_iov = &parts[run], .msg_iovlen = 1,
            };
        }
        int left = sendmmsg(multicast ? multicast_fd : unicast_fd, messages, (unsigned)run,
                            MSG_DONTWAIT);
        if (left < 0) {
            error[0] = -errno;
            return sent;
        }
        sent += left;                         /* a short count: the next call tells the reason */
    }
    return sent;
}

int32_t wm_socket_drop_all(int32_t fd, int32_t on)
{
    struct sock_filter accept_nothing = { BPF_RET | BPF_K, 0, 0, 0 };
    struct sock_fprog program = { 1, &accept_nothing };
    int unused = 0;
    int result = on ? setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program)
                    : setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
    if (result && !on && errno == ENOENT)
        return 0;                             /* no filter was there: silence is already off */
    return result ? -errno : 0;
}

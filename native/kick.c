/* The system calls that a busy loop may make: wake-ups of the AF_XDP rings and the ways to wait. */
#include "native.h"
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

int32_t wm_kick_tx(int32_t xsk_fd)
{
    return sendto(xsk_fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? -errno : 0;
}

int32_t wm_kick_rx(int32_t xsk_fd)
{
    return recvfrom(xsk_fd, NULL, 0, MSG_DONTWAIT, NULL, NULL) < 0 ? -errno : 0;
}

int32_t wm_sleep_ns(int64_t ns)
{
    struct timespec pause = { ns / 1000000000, ns % 1000000000 };
    return nanosleep(&pause, NULL) ? -errno : 0;
}

int32_t wm_wait_readable(int32_t fd, int64_t timeout_ns)
{
    struct pollfd waited = { .fd = fd, .events = POLLIN };
    struct timespec timeout = { timeout_ns / 1000000000, timeout_ns % 1000000000 };
    int ready = ppoll(&waited, 1, timeout_ns < 0 ? NULL : &timeout, NULL);
    return ready < 0 ? -errno : ready;
}

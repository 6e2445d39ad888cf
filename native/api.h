/* Every C function that Python may call. Functions only, fixed-width integers and opaque pointers:
   this file is read unmodified by the C compiler and by cffi, so it has no includes and no guard.

   Law: a function returns a value >= 0 or -errno; none prints, none keeps state between calls
   (the handles of wm_bpf_open and wm_dpdk_load apart). Addresses that a compiled kernel passes are
   plain pointers. */

/* ---- clock.c --------------------------------------------------------------------------------- */
int64_t wm_realtime_ns(void);                 /* CLOCK_REALTIME */
int64_t wm_monotonic_ns(void);                /* CLOCK_MONOTONIC, the clock of bpf_ktime_get_ns */
uint64_t wm_tsc(void);                        /* cycle counter (x86 rdtsc, aarch64 cntvct_el0) */

/* ---- crc.c ----------------------------------------------------------------------------------- */
uint32_t wm_crc32c(uint32_t crc, const void *bytes, uint64_t sz);        /* begin with crc = 0 */
uint32_t wm_crc32c_table(uint32_t crc, const void *bytes, uint64_t sz);  /* the portable twin */
int32_t wm_crc32c_hardware(void);             /* 1 when wm_crc32c uses the CPU's instruction */

/* ---- scan.c: the sorted far-price arrays ----------------------------------------------------- */
/* First index whose price is not below wanted, in an ascending array; cnt when there is none. */
int64_t wm_scan(const int32_t *prices, int64_t cnt, int32_t wanted);
int64_t wm_scan_with(int32_t variant, const int32_t *prices, int64_t cnt, int32_t wanted);
                                      /* by one of them; -ENOTSUP where the CPU has it not */
int32_t wm_scan_best(void);           /* variant in use: 0 scalar, 1 AVX2, 2 AVX-512, 3 NEON */
/* Make room for value at an index, or take the element at an index out; the new count. */
int64_t wm_gap_open(int32_t *array, int64_t cnt, int64_t at, int32_t value);
int64_t wm_gap_close(int32_t *array, int64_t cnt, int64_t at);
/* The same of a block: WM_FAR_BLOCK ascending ranks, INT32_MAX where none is, then as many slots.
   A full block loses its last level. Return 0 or -EINVAL. */
int64_t wm_block_open(int32_t *block, int64_t at, int32_t rank, int32_t slot);
int64_t wm_block_close(int32_t *block, int64_t at);

/* ---- walk.c: the blocks of a journal segment ------------------------------------------------- */
/* Walks the blocks of a segment held in memory, from walk->off on (struct wm_journal_walk), copies
   records of walk->from_seq and later to `records` (NULL: none), says why it stopped (WALK_). */
int64_t wm_journal_walk(const void *bytes, uint64_t sz, void *walk, void *records);
/* Offset of the first block at or behind off that is good by itself, or -ENOENT. */
int64_t wm_journal_find(const void *bytes, uint64_t sz, uint64_t off, uint32_t generation);

/* ---- seqlock.c: rows that another process writes --------------------------------------------- */
/* Copies `words` words of a row whose first is odd while it is written and changes with each
   writing. Returns the tries it took, or -EAGAIN when none of `tries` found the row whole. */
int64_t wm_seq_copy(const uint64_t *row, uint64_t words, uint64_t *out, int64_t tries);

/* ---- kick.c: the system calls a busy loop may make ------------------------------------------- */
int32_t wm_kick_tx(int32_t xsk_fd);           /* sendto of nothing: transmit what is in tx_ring */
int32_t wm_kick_rx(int32_t xsk_fd);           /* recvfrom of nothing: refill from fill_ring */
int32_t wm_wait_readable(int32_t fd, int64_t timeout_ns);  /* 1 readable, 0 timed out */
int32_t wm_sleep_ns(int64_t ns);              /* at least that long, unless a signal comes */

/* ---- socket.c: the plain-socket rung --------------------------------------------------------- */
/* Receives up to max datagrams; datagram i lies in slot i (2048 bytes each from frames + first_off)
   behind 42 made-up header bytes. descs[i] = {u64 offset in frames, u32 length, u32 flags};
   flag 1 = cut: the datagram was longer than a slot. Returns the count, 0 when none waits. */
int32_t wm_socket_rx(int32_t fd, uint8_t *frames, uint64_t first_off, int32_t max,
                     uint64_t *descs, uint32_t local_ip_be, uint32_t local_udp_port_be);
/* Sends descriptors [head, head+count) of a ring of mask+1 {u64 offset, u64 length}: the bytes from
   +42 on, to the address in the frame's own headers, 224/4 by multicast_fd, all else by unicast_fd.
   Returns how many left; error[0] is 0 or the -errno that stopped at the next one. */
int32_t wm_socket_tx(int32_t unicast_fd, int32_t multicast_fd, const uint8_t *frames,
                     const uint64_t *descs, uint64_t mask, uint64_t head, int32_t count,
                     int64_t *error);
int32_t wm_socket_drop_all(int32_t fd, int32_t on);  /* a filter that accepts nothing, on or off */

/* ---- feed.c: feed B by an interface of its own ----------------------------------------------- */
/* Sends packets, 64 at most, to ip and udp_port (both as numbers). packets[i] is 40 bytes: a
   MoldUDP64 header of 20, four unused, u64 offset in the log and u64 bytes of its blocks.
   segmented 1: what can go as one message goes as one (UDP_SEGMENT). Returns how many left;
   error[0] is 0 or the -errno that stopped at the next one: -EIO or -EINVAL where the kernel cannot
   segment without the device's help (before Linux 6.11). */
int32_t wm_feed_tx(int32_t fd, uint32_t ip, uint32_t udp_port, const uint8_t *log,
                   const uint8_t *packets, int32_t count, int32_t segmented, int64_t *error);

/* ---- xsk.c: AF_XDP socket set-up ------------------------------------------------------------- */
int32_t wm_xsk_socket(void);                  /* a new AF_XDP socket, close-on-exec */
int32_t wm_xsk_register_umem(int32_t fd, void *umem, uint64_t sz, uint32_t frame_sz,
                             uint32_t headroom, uint32_t flags);
int32_t wm_xsk_ring_sizes(int32_t fd, uint32_t fill, uint32_t comp, uint32_t rx, uint32_t tx);
/* out[16]: producer, consumer, descriptors, flags offset for each of rx, tx, fill, comp */
int32_t wm_xsk_offsets(int32_t fd, uint64_t *out);
int32_t wm_xsk_bind(int32_t fd, uint32_t ifindex, uint32_t queue, uint32_t flags,
                    int32_t shared_umem_fd);
/* out[6]: rx_dropped, rx_invalid, tx_invalid, rx_ring_full, fill_ring_empty, tx_ring_empty */
int32_t wm_xsk_statistics(int32_t fd, uint64_t *out);
int32_t wm_xsk_options(int32_t fd);           /* XDP_OPTIONS; bit 0: zero copy is in use */
int32_t wm_xsk_tx_budget(int32_t fd, uint32_t frames);  /* XDP_MAX_TX_SKB_BUDGET (newer kernels) */

/* ---- xdp.c: BPF objects, programs, links and maps (ENOSYS where libbpf was absent) ----------- */
typedef struct wm_bpf wm_bpf;
/* Loads every program of an object file; log (may be NULL) takes libbpf's and the verifier's
   words. out[0] is the handle; descriptors got from it belong to the caller. */
int32_t wm_bpf_open(const char *path, wm_bpf **out, char *log, uint32_t log_sz);
/* The same with other sizes: maps[i], of count, gets entries[i] entries. */
int32_t wm_bpf_open_sized(const char *path, const char *const *maps, const uint32_t *entries,
                          int32_t count, wm_bpf **out, char *log, uint32_t log_sz);
int32_t wm_bpf_program(wm_bpf *object, const char *name);   /* a new descriptor of the program */
int32_t wm_bpf_map(wm_bpf *object, const char *name);       /* a new descriptor of the map */
int32_t wm_bpf_close(wm_bpf *object);
int32_t wm_map_set(int32_t map_fd, const void *key, const void *value, uint64_t flags);
int32_t wm_map_get(int32_t map_fd, const void *key, void *value);
int32_t wm_map_delete(int32_t map_fd, const void *key);
int32_t wm_map_next(int32_t map_fd, const void *key, void *next_key);  /* ENOENT after the last */
int64_t wm_map_id(int32_t map_fd);            /* the kernel's number of a map */
int64_t wm_map_value_size(int32_t map_fd);
int32_t wm_map_freeze(int32_t map_fd);        /* from now on only programs write it */
int32_t wm_possible_cpus(void);               /* how many values a per-CPU map gives back */
/* flags: 2 generic (skb), 4 native (driver); returns the link's descriptor */
int32_t wm_xdp_attach(int32_t program_fd, uint32_t ifindex, uint32_t flags);
int32_t wm_xdp_update(int32_t link_fd, int32_t program_fd, int32_t expected_old_fd);
/* out[3]: ifindex (0 when the device is gone), program id, link id */
int32_t wm_xdp_link_info(int32_t link_fd, uint32_t *out);
int64_t wm_xdp_attached(uint32_t ifindex);    /* id of the program on a device, 0 none */
int64_t wm_bpf_program_id(int32_t program_fd);
/* One frame through a program, repeat times, as if received on (ifindex, queue); ifindex 0 = none.
   out (may be NULL) takes metadata and packet; result[4]: verdict, mean ns, bytes in out,
   metadata bytes in front. */
int32_t wm_xdp_test_run(int32_t program_fd, const void *packet, uint32_t sz, uint32_t ifindex,
                        uint32_t queue, uint32_t repeat, void *out, uint32_t out_sz,
                        uint32_t *result);
/* Frames [0, count) through a program, one after the other, as if received on places[2i] (ifindex)
   and places[2i + 1] (queue). Verdict i goes to verdicts[i]; marks[i] gets the metadata bytes in
   front (below 128), and + 128 when the packet's bytes were changed. Returns how many went through;
   when fewer than count, error[0] is the -errno of the next one. */
int64_t wm_xdp_test_batch(int32_t program_fd, const uint8_t *data, const int64_t *offs,
                          const uint32_t *lengths, const uint32_t *places, int64_t count,
                          uint8_t *verdicts, uint8_t *marks, int64_t *error);
/* The same frame, repeat times, in earnest: verdicts are acted on (kernel 5.18). */
int32_t wm_xdp_live_run(int32_t program_fd, const void *packet, uint32_t sz, uint32_t ifindex,
                        uint32_t queue, uint32_t repeat, uint32_t batch);
/* Live frames of a program that waits in place: of the packets [start, stop), due as wm_paced_send
   has it, each run is one call of those that follow each other by at most gap_ns, entered lead_ns
   before its first is due. batch: frames that leave together at full speed; in time as many as are
   due within together_ns. *turn is the program's count of packets. Returns how many were made. */
int64_t wm_xdp_live_paced(int32_t program_fd, const void *frame, uint32_t sz, uint32_t ifindex,
                          const int64_t *due_ns, int64_t start, int64_t stop, int64_t zero_ns,
                          int64_t deadline_ns, int64_t lead_ns, int64_t gap_ns,
                          int64_t together_ns, uint32_t batch, uint64_t *turn, int64_t *error);

/* ---- dpdk.c: the DPDK port, by the shim of native/dpdk/ (optional) --------------------------- */
typedef struct wm_dpdk wm_dpdk;
/* Loads the shim; ENOSYS when it cannot be, and log says why. The others take what out[0] gets. */
int32_t wm_dpdk_load(const char *path, wm_dpdk **out, char *log, uint32_t log_sz);
/* EAL with these arguments (a line each), and the one device that they name: pool, a receive and a
   transmit queue. Once a process. out[3]: lowest address of the frames, bytes from there to the
   highest, the device's MAC in memory order. tx_offs[tx_frames]: where each transmit frame begins.
   log takes the words of EAL and drivers. */
int32_t wm_dpdk_open(wm_dpdk *shim, char *arguments, uint32_t rx_frames, uint32_t tx_frames,
                     uint64_t *out, uint64_t *tx_offs, char *log, uint32_t log_sz);
/* A burst of at most 64: descs as of wm_socket_rx, held[i] is what wm_dpdk_release wants back. */
int32_t wm_dpdk_rx(wm_dpdk *shim, uint64_t *descs, uint64_t *held, int32_t max);
int32_t wm_dpdk_release(wm_dpdk *shim, const uint64_t *held, int32_t count);
/* Sends descriptors [head, head+count), 64 at most, of a ring as of wm_socket_tx; how many the
   driver has taken. */
int32_t wm_dpdk_tx(wm_dpdk *shim, const uint64_t *descs, uint64_t mask, uint64_t head,
                   int32_t count);
/* How many of the descriptors [tail, tail+count), from the first on, the driver is done with. */
int32_t wm_dpdk_completed(wm_dpdk *shim, const uint64_t *descs, uint64_t mask, uint64_t tail,
                          int32_t count);
/* out[6]: packets received, sent, missed by the device, receive errors, send errors, no frame */
int32_t wm_dpdk_statistics(wm_dpdk *shim, uint64_t *out);
int32_t wm_dpdk_close(wm_dpdk *shim);         /* frames and device; EAL cannot be had again */

/* ---- sandbox.c ------------------------------------------------------------------------------- */
int32_t wm_no_new_privileges(void);
int32_t wm_deny_write_execute(void);          /* PR_SET_MDWE, kernel 6.3; EINVAL before */
int32_t wm_write_execute_denied(void);        /* PR_GET_MDWE; EINVAL where unknown */
int64_t wm_capabilities(void);                /* permitted and effective capabilities, or-ed */
int32_t wm_die_with_parent(int32_t signal);   /* PR_SET_PDEATHSIG */
int32_t wm_enter_namespace(int32_t fd);       /* setns to a network namespace */
int32_t wm_new_network_namespace(void);       /* unshare(CLONE_NEWNET) */

/* ---- bare.c: floors for the benches, no product code ----------------------------------------- */
/* Receives (echo = 1: and sends every packet back) until *stop; returns the count. */
int64_t wm_bare_receive(int32_t fd, uint8_t *umem, uint32_t frame_sz, uint32_t rx_cnt,
                        uint32_t tx_cnt, int32_t echo, uint64_t *stop, uint64_t *received);
/* count round trips, the next one gap_ns after the last began; returns how many were answered. */
int64_t wm_bare_ping(int32_t fd, uint8_t *umem, uint32_t frame_sz, uint32_t rx_cnt, uint32_t tx_cnt,
                     uint8_t *packet, uint32_t sz, int64_t count, int64_t gap_ns,
                     uint64_t *round_trip_ns);

/* count bursts of the packet, each `burst` long: how long each took to leave. Returns count. */
int32_t wm_bare_bursts(int32_t fd, uint8_t *umem, uint32_t frame_sz, uint32_t rx_cnt,
                       uint32_t tx_cnt, const uint8_t *packet, uint32_t sz, int32_t burst,
                       int32_t count, uint64_t *burst_ns);

/* ---- bursts.c: the same by a UDP socket, for the benches ------------------------------------- */
/* Bursts of one payload to an address, or with ip_be 0 to where the socket is connected.
   segmented 1: as segments of as few messages as hold them, copied side by side (UDP_SEGMENT);
   0: as many messages of one call (sendmmsg). */
int32_t wm_udp_bursts(int32_t fd, uint32_t ip_be, uint32_t udp_port_be, const uint8_t *payload,
                      uint32_t sz, int32_t burst, int32_t count, int32_t segmented,
                      uint64_t *burst_ns);

/* ---- relay.c: a bridge that loses, doubles, delays and spoils frames ------------------------- */
/* A packet socket that hears everything that comes in by a device, and sends past the queueing
   discipline. */
int32_t wm_relay_socket(uint32_t ifindex);
int32_t wm_relay_overrun(int32_t fd);         /* frames that found it full, since the last call */
/* Carries frames from fds[0] to fds[1] (way 0) and back (way 1) until *stop. settings: of each way,
   read for each frame, so they may be changed meanwhile; counts: of each way; both as relay_way.py
   has them. logs[way * log_sz + n]: what happened to frame n. room: frames held back, each way. */
int64_t wm_relay_run(const int32_t *fds, volatile const int64_t *stop, const int64_t *settings,
                     uint64_t *counts, uint8_t *logs, uint64_t log_sz, uint32_t room);

/* ---- inject.c: what the replay tool sends with ----------------------------------------------- */
int32_t wm_inject_socket(uint32_t ifindex);   /* a packet socket past the queueing discipline */
/* Frames [start, stop) of data, frame i at offs[i]. Returns how many left; error[0] is 0 or the
   -errno that stopped at the next one. */
int64_t wm_inject_frames(int32_t fd, const uint8_t *data, const int64_t *offs,
                         const uint32_t *lengths, int64_t start, int64_t stop, int64_t *error);
/* The same for UDP payloads: datagram i leaves by fds[fd_idx[i]] for ips_be[i], ports_be[i]. */
int64_t wm_inject_payloads(const int32_t *fds, const uint16_t *fd_idx, const uint8_t *data,
                           const int64_t *offs, const uint32_t *lengths, const uint32_t *ips_be,
                           const uint16_t *ports_be, int64_t start, int64_t stop, int64_t *error);
/* Sleeps, then spins for the last spin_ns, until zero_ns + due_ns[start] (monotonic clock) or the
   deadline; returns how many of [start, stop) are due then. */
int64_t wm_inject_wait(const int64_t *due_ns, int64_t start, int64_t stop, int64_t zero_ns,
                       int64_t deadline_ns, int64_t spin_ns);
/* Waits for each packet's time as wm_inject_wait does and sends all that are due, until stop or the
   deadline. due_ns NULL: as fast as the way takes them. left_ns[i] is when packet i had left, 1
   where the ring lost it.
   way: {0, fd} frames by a packet socket; {1, fds, fd_idx, ips_be, ports_be} payloads by UDP
   sockets; {2, fd, umem, frame_sz, tx_cnt, tx producer, tx consumer, tx descs, comp producer, comp
   consumer, comp addresses (at first one of each frame), lost} frames by an AF_XDP socket's ring;
   lost: u64[4], at first 0: packets that were completed and not sent, their bytes, own notes.
   Returns how many were handed over; error[0] is 0 or the -errno that stopped at the next one. */
int64_t wm_paced_send(const uint64_t *way, const uint8_t *data, const int64_t *offs,
                      const uint32_t *lengths, const int64_t *due_ns, int64_t start, int64_t stop,
                      int64_t zero_ns, int64_t deadline_ns, int64_t spin_ns, int64_t *left_ns,
                      int64_t *error);
/* Transmits the packet count times as fast as the socket takes it; returns how many went. */
int64_t wm_bare_send(int32_t fd, uint8_t *umem, uint32_t frame_sz, uint32_t rx_cnt, uint32_t tx_cnt,
                     const uint8_t *packet, uint32_t sz, int64_t count);

/* Every C function that Python may call. Functions only, fixed-width integers and opaque pointers:
   this file is read unmodified by the C compiler and by cffi, so it has no includes and no guard.

   Law: a function returns a value >= 0 or -errno; none prints, none keeps state between calls
   (the handle of wm_bpf_open apart). Addresses that a compiled kernel passes are plain pointers. */

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

/* ---- seqlock.c: rows that another process writes --------------------------------------------- */
/* Copies `words` words of a row whose first is odd while it is written and changes with each
   writing. Returns the tries it took, or -EAGAIN when none of `tries` found the row whole. */
int64_t wm_seq_copy(const uint64_t *row, uint64_t words, uint64_t *out, int64_t tries);

/* ---- kick.c: the system calls a busy loop may make ------------------------------------------- */
int32_t wm_kick_tx(int32_t xsk_fd);           /* sendto of nothing: transmit what is in tx_ring */
int32_t wm_kick_rx(int32_t xsk_fd);           /* recvfrom of nothing: refill from fill_ring */
int32_t wm_yield(void);                       /* sched_yield */
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
int32_t wm_bpf_program(wm_bpf *object, const char *name);   /* a new descriptor of the program */
int32_t wm_bpf_map(wm_bpf *object, const char *name);       /* a new descriptor of the map */
int32_t wm_bpf_close(wm_bpf *object);
int32_t wm_map_set(int32_t map_fd, const void *key, const void *value, uint64_t flags);
int32_t wm_map_get(int32_t map_fd, const void *key, void *value);
int32_t wm_map_delete(int32_t map_fd, const void *key);
int32_t wm_map_next(int32_t map_fd, const void *key, void *next_key);  /* ENOENT after the last */
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
/* The same frame, repeat times, in earnest: verdicts are acted on (kernel 5.18). */
int32_t wm_xdp_live_run(int32_t program_fd, const void *packet, uint32_t sz, uint32_t ifindex,
                        uint32_t queue, uint32_t repeat, uint32_t batch);

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
/* Transmits the packet count times as fast as the socket takes it; returns how many went. */
int64_t wm_bare_send(int32_t fd, uint8_t *umem, uint32_t frame_sz, uint32_t rx_cnt, uint32_t tx_cnt,
                     const uint8_t *packet, uint32_t sz, int64_t count);

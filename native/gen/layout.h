/* Shared records and blocks for C and BPF, generated: edit appliance/layout, then run tools/gen.
 *
 * Printed from record.py, shared.py, gate.py and journal.py of appliance/layout by
 * `python -m tools.gen`; changes made here are lost, and `python -m tools.gen --check` fails on
 * them. Little-endian, naturally aligned, each pad byte a field; every size and offset is asserted.
 */
#ifndef WM_LAYOUT_H
#define WM_LAYOUT_H

typedef __UINT8_TYPE__ wm_u8;
typedef __INT8_TYPE__ wm_i8;
typedef __UINT16_TYPE__ wm_u16;
typedef __INT16_TYPE__ wm_i16;
typedef __UINT32_TYPE__ wm_u32;
typedef __INT32_TYPE__ wm_i32;
typedef __UINT64_TYPE__ wm_u64;
typedef __INT64_TYPE__ wm_i64;

#define WM_LAYOUT_DIGEST 0x4F260A09AB559D4CULL

#define WM_ENTER 1
#define WM_CANCEL 2
#define WM_REPLACE 3
#define WM_MODIFY 4
#define WM_MASS_CANCEL 5
#define WM_DISABLE 6
#define WM_ENABLE 7
#define WM_QUERY 8
#define WM_REJECT 9
#define WM_IGNORE 10
#define WM_LOGIN 16
#define WM_LOGOUT 17
#define WM_DISCONNECT 18
#define WM_SKIP 19
#define WM_FILLER 20
#define WM_CLOCK 21
#define WM_DAY_START 22
#define WM_DAY_END 23
#define WM_MARKET_OPEN 24
#define WM_HALT 25
#define WM_BUST 26
#define WM_IMBALANCE 27
#define WM_LIMIT 28
#define WM_KILL 29
#define WM_MODE 30
#define WM_GRACE_OVER 36
#define WM_POST_ONLY 1
#define WM_MARKET 2
#define WM_OPENS_LATER 4
#define WM_HIDDEN 8
#define WM_RESERVE 16
#define WM_AUCTION 32
#define WM_ON_CLOSE 64
#define WM_LIFT 128
#define WM_SCOPE_ACCOUNT 1
#define WM_SCOPE_SYMBOL 2
#define WM_MODE_NORMAL 0
#define WM_MODE_THROTTLED 1
#define WM_MODE_CANCEL_ONLY 2
#define WM_MODE_HALTED 3
#define WM_MAX_QUANTITY 1
#define WM_MAX_NOTIONAL 2
#define WM_MAX_OPEN 3
#define WM_MAX_POSITION 4
#define WM_PRICE_BAND 5
#define WM_DUPLICATES 6
#define WM_DUPLICATE_WINDOW 7
#define WM_RESTRICTED 8
#define WM_SMP_OFF 0
#define WM_SMP_OLDEST 1
#define WM_SMP_NEWEST 2
#define WM_SMP_DECREMENT 3
#define WM_TAG_FIRM 1
#define WM_TAG_MIN_QTY 2
#define WM_TAG_CUSTOMER 4
#define WM_TAG_POST_ONLY 8
#define WM_TAG_GROUP 16
#define WM_TAG_LOCATED 32
#define WM_TAG_AIQ 64
#define WM_TAG_MAX_FLOOR 128
#define WM_ACCEPTED 1
#define WM_REPLACED 2
#define WM_TRADE 3
#define WM_BOOKED 4
#define WM_MOVED 5
#define WM_UNBOOKED 6
#define WM_CANCELED 7
#define WM_MODIFIED 8
#define WM_PREVENTED 9
#define WM_REFUSED 10
#define WM_REFRESHED 11
#define WM_CROSSED 12
#define WM_CROSS_DONE 13
#define WM_ORDER_DEAD 1
#define WM_RESTING_DEAD 2
#define WM_WAS_BOOKED 4
#define WM_UNSHOWN 8
#define WM_ORDER_UNSHOWN 16
#define WM_FAR_BIT 0x80000000U
#define WM_EXTRA_BIT 1073741824
#define WM_FAR_BLOCK 64
#define WM_FAR_LEAST 16
#define WM_GUARD_KILLED 1
#define WM_GUARD_LIMITS 2
#define WM_GUARD_MODE 4
#define WM_RECENT_CNT 64
#define WM_SHOWN_GROUP 0
#define WM_HIDDEN_GROUP 1
#define WM_OPENING_GROUP 2
#define WM_CLOSING_GROUP 3
#define WM_GROUPS 4
#define WM_COUNTER_CNT 128
#define WM_IMAGE_FULL 3
#define WM_IMAGE_LAPPED 1
#define WM_IMAGE_STRANGE 2
#define WM_IMAGE_TORN 4
#define WM_MAGIC 0x574D415443483031ULL
#define WM_RUN 1
#define WM_END_DAY 2
#define WM_STOP 3
#define WM_BOOTING 1
#define WM_WARMING 2
#define WM_READY 3
#define WM_ENDING 4
#define WM_ENDED 5
#define WM_FAILED 6
#define WM_RUNG_NONE 0
#define WM_RUNG_NATIVE 1
#define WM_RUNG_SOCKET 2
#define WM_RUNG_GENERIC 3
#define WM_RUNG_ZERO_COPY 4
#define WM_RUNG_DPDK 5
#define WM_OWN_QUEUE 1
#define WM_SHARED_QUEUE 2
#define WM_LINK_CONTROL 1
#define WM_LINK_LOGIN 2
#define WM_LINK_REFUSE 3
#define WM_LINK_DISCONNECT 4
#define WM_LINK_END_DAY 5
#define WM_LINK_OPEN 6
#define WM_LINK_HALT 7
#define WM_LINK_BUST 8
#define WM_LINK_IMBALANCE 9
#define WM_LINK_TCP_LOGIN 10
#define WM_LINK_CHECK 11
#define WM_LINK_LIMIT 12
#define WM_LINK_KILL 13
#define WM_LINK_MODE 14
#define WM_SESSION_NONE 0
#define WM_SESSION_LIVE 1
#define WM_SESSION_ENDED 2
#define WM_DISABLED_BY_ACCOUNT 1
#define WM_DISABLED_BY_OPERATOR 2
#define WM_CHUNK_SZ 65536
#define WM_JOURNAL_NONE 0
#define WM_JOURNAL_OPENING 1
#define WM_JOURNAL_OPEN 2
#define WM_JOURNAL_FULL 3
#define WM_JOURNAL_FAILED 4
#define WM_DONE 0
#define WM_ALREADY 1
#define WM_NOT_NOW 2
#define WM_NO_ROOM 3
#define WM_HISTOGRAM_CNT 1024
#define WM_UDP_PORT_CNT 65536
#define WM_PARTITION_MAX 256
#define WM_SOURCE_MAX 1024
#define WM_LG_SET_CNT 11
#define WM_SET_CNT 2048
#define WM_SET_SZ 4
#define WM_SEGMENT_MAGIC 0x31304C4E524A4D57ULL
#define WM_WATERMARK_MAGIC 0x31304B52414D4D57ULL
#define WM_BLOCK_MAGIC 1263288906
#define WM_JOURNAL_FORMAT 1
#define WM_SEGMENT_HEADER_SZ 4096
#define WM_SEGMENT_SZ_DEFAULT 67108864
#define WM_GENESIS_OFF 256
#define WM_BLOCK_SZ 64
#define WM_BLOCK_RECORDS_MAX 8192
#define WM_LEVEL_NONE 0
#define WM_LEVEL_PROCESS 1
#define WM_LEVEL_DISK 2
#define WM_LEVEL_REPLICA 3
#define WM_LEVEL_REPLICA_DISK 4
#define WM_BLOCK_RECORDS 1
#define WM_BLOCK_CHECK 2
#define WM_CHECKS_MAGIC 0x31304B4843434D57ULL
#define WM_CHECK_EVERY 4096
#define WM_CHECK_LOOK 1024
#define WM_LG_STATE_MARK_EVERY 12
#define WM_STATE_MARK_CNT 256
#define WM_STATE_MARK_EVERY 4096
#define WM_WALK_END 0
#define WM_WALK_FULL 1
#define WM_WALK_TORN 2
#define WM_WALK_MAGIC 3
#define WM_WALK_SIZE 4
#define WM_WALK_CRC 5
#define WM_WALK_GENERATION 6
#define WM_WALK_CHAIN 7
#define WM_WALK_SEQ 8
#define WM_WALK_EPOCH 9
#define WM_WALK_RECORDS 10

#define WM_COUNTER_RX_APPLIED 0
#define WM_COUNTER_RX_CONTROL 1
#define WM_COUNTER_RX_DEBUG 2
#define WM_COUNTER_RX_HEARTBEAT 3
#define WM_COUNTER_RX_END_OF_SESSION 4
#define WM_COUNTER_RX_REREQUEST 5
#define WM_COUNTER_RX_REREQUEST_REFUSED 6
#define WM_COUNTER_RX_DUPLICATE 7
#define WM_COUNTER_RX_HELD 8
#define WM_COUNTER_RX_HOLD_FULL 9
#define WM_COUNTER_RX_FAR_AHEAD 10
#define WM_COUNTER_RX_UNKNOWN_TOKEN 11
#define WM_COUNTER_RX_WRONG_SOURCE 12
#define WM_COUNTER_RX_SOURCE_REFUSED 13
#define WM_COUNTER_RX_NOT_UDP 14
#define WM_COUNTER_RX_VLAN 15
#define WM_COUNTER_RX_CHECKSUM 16
#define WM_COUNTER_RX_TRUNCATED 17
#define WM_COUNTER_RX_SHORT 18
#define WM_COUNTER_RX_FRAMING 19
#define WM_COUNTER_RX_CONTROL_FULL 20
#define WM_COUNTER_RX_FRAMES 21
#define WM_COUNTER_RX_BURSTS 22
#define WM_COUNTER_POLLS_EMPTY 23
#define WM_COUNTER_MESSAGES 24
#define WM_COUNTER_MESSAGES_FILLER 25
#define WM_COUNTER_MESSAGES_UNKNOWN 26
#define WM_COUNTER_MESSAGES_SHORT 27
#define WM_COUNTER_MESSAGES_STALE 28
#define WM_COUNTER_MESSAGES_SKIPPED 29
#define WM_COUNTER_GAP_REQUESTS 30
#define WM_COUNTER_GAP_REQUESTS_WITHHELD 31
#define WM_COUNTER_ORDERS 32
#define WM_COUNTER_REJECTS 33
#define WM_COUNTER_CANCELS_IGNORED 34
#define WM_COUNTER_TRADES 35
#define WM_COUNTER_LOGINS 36
#define WM_COUNTER_LOGIN_ANSWERS 37
#define WM_COUNTER_DISCONNECTS 38
#define WM_COUNTER_CAPACITY_REJECTS 39
#define WM_COUNTER_ORDERS_EXPIRED 40
#define WM_COUNTER_BUSTS_IGNORED 41
#define WM_COUNTER_STREAM_FULL 42
#define WM_COUNTER_FEED_OVERRUN 43
#define WM_COUNTER_JOURNAL_FULL 44
#define WM_COUNTER_TX_FRAMES 45
#define WM_COUNTER_TX_NO_FRAME 46
#define WM_COUNTER_ACK_PACKETS 47
#define WM_COUNTER_FEED_PACKETS 48
#define WM_COUNTER_TWIN_PACKETS 49
#define WM_COUNTER_TWIN_FULL 50
#define WM_COUNTER_TWIN_LOST 51
#define WM_COUNTER_TWIN_UNENDED 52
#define WM_COUNTER_TCP_APPLIED 53
#define WM_COUNTER_TCP_BARE 54
#define WM_COUNTER_TCP_REFUSED 55
#define WM_COUNTER_THROTTLED 56
#define WM_COUNTER_THROTTLE_DISCONNECTS 57
#define WM_COUNTER_GRACES 58
#define WM_COUNTER_GRACES_OVER 59
#define WM_COUNTER_RISK_QUANTITY 60
#define WM_COUNTER_RISK_NOTIONAL 61
#define WM_COUNTER_RISK_OPEN 62
#define WM_COUNTER_RISK_POSITION 63
#define WM_COUNTER_RISK_PRICE 64
#define WM_COUNTER_RISK_DUPLICATE 65
#define WM_COUNTER_RISK_RESTRICTED 66
#define WM_COUNTER_RISK_KILLED 67
#define WM_COUNTER_RISK_MODE 68

/* One validated inbound message, as the book sees it. */
struct wm_command {
    wm_u8 kind;                          /* ENTER ... GRACE_OVER */
    wm_u8 side;                          /* 0 buy, 1 sell (side letters B=0; S, T, E=1) */
    /* 0 day, 3 immediate, 6 good till time. CANCEL: reason letter, 0 = U */
    wm_u8 tif;
    wm_u8 flags;                         /* POST_ONLY ... LIFT */
    wm_u32 order;                        /* handle of the new order (ENTER, REPLACE), else 0 */
    /* handle of the existing order (CANCEL, REPLACE, MODIFY), else 0 */
    wm_u32 target;
    /* ENTER: quantity. CANCEL, REPLACE, MODIFY: intended total, executed included */
    wm_u32 qty;
    wm_i32 price_ticks;                  /* limit in ticks; MARKET: 2147483647 to buy, 0 to sell */
    /* least trade at once, of a hidden one at any time; RESERVE: the floor */
    wm_u32 min_qty;
    wm_u16 symbol;                       /* index into the partition's symbol table */
    wm_u16 account;                      /* index into the partition's account table */
    wm_u8 smp;                           /* SMP_OFF ... SMP_DECREMENT */
    wm_u8 pad[3];                        /* zero */
};
_Static_assert(sizeof(struct wm_command) == 32, "size");
_Static_assert(__builtin_offsetof(struct wm_command, kind) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_command, side) == 1, "at");
_Static_assert(__builtin_offsetof(struct wm_command, tif) == 2, "at");
_Static_assert(__builtin_offsetof(struct wm_command, flags) == 3, "at");
_Static_assert(__builtin_offsetof(struct wm_command, order) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_command, target) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_command, qty) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_command, price_ticks) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_command, min_qty) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_command, symbol) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_command, account) == 26, "at");
_Static_assert(__builtin_offsetof(struct wm_command, smp) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_command, pad) == 29, "at");

/* What the journal and the reports need of a command and the book does not. */
struct wm_detail {
    wm_u64 upstream_seq;                 /* participant's message number */
    wm_u32 user_ref_num;                 /* of the message; MASS_CANCEL, DISABLE, ENABLE too */
    wm_u32 orig_user_ref_num;            /* REPLACE: the live order */
    wm_u32 token_epoch;                  /* number of the account's login today */
    wm_u16 reject;                       /* REJECT: reason of wire-spec 5.6, else 0 */
    wm_u8 present;                       /* TAG_ bits of the optional tags sent */
    wm_u8 side_letter;                   /* as sent: B S T E */
    wm_u8 display;                       /* Y N A */
    wm_u8 capacity;                      /* A P R O */
    wm_u8 sweep;                         /* intermarket sweep Y N */
    wm_u8 cross;                         /* cross type */
    wm_u8 customer;                      /* tag 4 */
    wm_u8 located;                       /* tag 25 */
    wm_u8 aiq;                           /* tag 29 letter */
    wm_u8 tif_letter;                    /* as sent */
    wm_u16 group;                        /* tag 24 */
    wm_u8 mac[6];                        /* LOGIN: Ethernet address to answer to */
    wm_u8 firm[4];                       /* tag 2, or MASS_CANCEL DISABLE ENABLE firm */
    wm_u8 symbol_text[8];                /* as sent (a rejected symbol has no index) */
    /* echoed; LOGIN: the token in the first ten; of an operator's command his name */
    wm_u8 clordid[14];
    wm_u16 udp_port;                     /* LOGIN: source port */
    /* LOGIN: source address, first byte of the dotted form highest; of an operator's command his
       uid */
    wm_u32 ip;
    wm_u32 max_floor;                    /* tag 5 */
    wm_u32 expire_s;                     /* tag 15, seconds */
};
_Static_assert(sizeof(struct wm_detail) == 80, "size");
_Static_assert(__builtin_offsetof(struct wm_detail, upstream_seq) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, user_ref_num) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, orig_user_ref_num) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, token_epoch) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, reject) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, present) == 22, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, side_letter) == 23, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, display) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, capacity) == 25, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, sweep) == 26, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, cross) == 27, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, customer) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, located) == 29, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, aiq) == 30, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, tif_letter) == 31, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, group) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, mac) == 34, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, firm) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, symbol_text) == 44, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, clordid) == 52, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, udp_port) == 66, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, ip) == 68, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, max_floor) == 72, "at");
_Static_assert(__builtin_offsetof(struct wm_detail, expire_s) == 76, "at");

/* One command in the journal ring. */
struct wm_journal_record {
    wm_u64 seq;                          /* 1, 2, 3, ... through the day */
    /* nanoseconds since midnight of the session's day; never goes back */
    wm_u64 time_ns;
    wm_u8 command[32];                   /* a command */
    wm_u8 detail[80];                    /* its detail */
};
_Static_assert(sizeof(struct wm_journal_record) == 128, "size");
_Static_assert(__builtin_offsetof(struct wm_journal_record, seq) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_record, time_ns) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_record, command) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_record, detail) == 48, "at");

/* One result of matching. */
struct wm_event {
    /* ACCEPTED ... CROSS_DONE; REFUSED: a far level was needed, none is free */
    wm_u8 kind;
    wm_u8 side;                          /* of `order`: 0 buy, 1 sell */
    /* CANCELED: letter of wire-spec 5.5. PREVENTED: SMP_OLDEST ... DECREMENT. CROSS_DONE: O or C, H
       */
    wm_u8 reason;
    wm_u8 flags;                         /* ORDER_DEAD ... ORDER_UNSHOWN */
    /* the subject; TRADE: the incoming. CROSSED: the buy. CROSS_DONE: symbol */
    wm_u32 order;
    /* TRADE: resting order. REPLACED, MOVED, UNBOOKED: the replaced order (MOVED by growth: the
       order itself). PREVENTED: the other. CROSSED: sell */
    wm_u32 resting;
    /* ACCEPTED, REPLACED, MODIFIED: open. BOOKED, MOVED, REFRESHED: shown. TRADE, CROSSED: traded.
       CANCELED, PREVENTED, UNBOOKED: removed. CROSS_DONE: low word */
    wm_u32 qty;
    /* TRADE, PREVENTED: resting price. BOOKED, MOVED, REFRESHED: limit. CROSSED, CROSS_DONE: the
       cross. CANCELED: shown shares removed */
    wm_i32 price_ticks;
    /* TRADE: resting shown quantity left. CANCELED: open left. MODIFIED: shown shares removed, 0
       when it grew. PREVENTED: quantity prevented from trading; SMP_DECREMENT of a booked order:
       shown left. CROSS_DONE: high word of shares */
    wm_u32 left;
    /* ACCEPTED, REPLACED, REFRESHED, MOVED by growth: order reference n. TRADE, CROSSED,
       CROSS_DONE: match n */
    wm_u64 number;
};
_Static_assert(sizeof(struct wm_event) == 32, "size");
_Static_assert(__builtin_offsetof(struct wm_event, kind) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_event, side) == 1, "at");
_Static_assert(__builtin_offsetof(struct wm_event, reason) == 2, "at");
_Static_assert(__builtin_offsetof(struct wm_event, flags) == 3, "at");
_Static_assert(__builtin_offsetof(struct wm_event, order) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_event, resting) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_event, qty) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_event, price_ticks) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_event, left) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_event, number) == 24, "at");

/* The part of an order that matching touches; handle = index, 0 is nobody. */
struct wm_order {
    wm_u32 next;                         /* next in time at the level, 0 none */
    wm_u32 prev;                         /* previous in time at the level, 0 none */
    /* open quantity, of a reserve order the shown part; 0 = not live */
    wm_u32 qty;
    /* ladder level index, or FAR_BIT | far slot; EXTRA_BIT: `extras` has more */
    wm_u32 level;
    wm_u32 total;                        /* current intended total, executed shares included */
    wm_u16 account;                      /* index into the partition's account table */
    wm_u8 pad[10];                       /* zero */
};
_Static_assert(sizeof(struct wm_order) == 32, "size");
_Static_assert(__builtin_offsetof(struct wm_order, next) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_order, prev) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_order, qty) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_order, level) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_order, total) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_order, account) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_order, pad) == 22, "at");

/* What an order that is not plain has beside its place; valid with EXTRA_BIT. */
struct wm_extra {
    wm_u32 reserve;                      /* shares not shown */
    wm_u32 floor;                        /* shares shown at a time, 0 none */
    wm_u32 least;                        /* minimum quantity of a hidden order, 0 none */
    wm_u32 pad;                          /* zero */
    /* its order reference n (valid for an order that is not shown) */
    wm_u64 number;
};
_Static_assert(sizeof(struct wm_extra) == 24, "size");
_Static_assert(__builtin_offsetof(struct wm_extra, reserve) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_extra, floor) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_extra, least) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_extra, pad) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_extra, number) == 16, "at");

/* One price of one side: a queue of orders. */
struct wm_level {
    wm_u32 head;                         /* oldest order, 0 none */
    wm_u32 tail;                         /* newest order, 0 none */
};
_Static_assert(sizeof(struct wm_level) == 8, "size");
_Static_assert(__builtin_offsetof(struct wm_level, head) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_level, tail) == 4, "at");

/* A level outside the ladder's window; found through its side's far blocks. */
struct wm_far_level {
    /* oldest order; of a free level the next free one, 0 none */
    wm_u32 head;
    wm_u32 tail;                         /* newest order */
    wm_i32 price_ticks;                  /* its price */
    wm_u32 owner;                        /* whose, as in Book.sides */
};
_Static_assert(sizeof(struct wm_far_level) == 16, "size");
_Static_assert(__builtin_offsetof(struct wm_far_level, head) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_far_level, tail) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_far_level, price_ticks) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_far_level, owner) == 12, "at");

/* What reports need of an order; written once when it is accepted. */
struct wm_order_cold {
    /* order reference n (partition goes in the top byte on the wire) */
    wm_u64 order_ref;
    wm_u32 user_ref_num;                 /* participant's number */
    wm_i32 price_ticks;                  /* limit */
    wm_u16 account;                      /* owner */
    wm_u16 symbol;                       /* symbol index */
    wm_u32 min_qty;                      /* tag 3 */
    wm_u8 side_letter;                   /* B S T E; Modify may change it */
    wm_u8 tif_letter;                    /* as accepted */
    wm_u8 display;                       /* Y A */
    wm_u8 capacity;
    wm_u8 sweep;
    wm_u8 cross;
    wm_u8 customer;                      /* tag 4 */
    wm_u8 located;                       /* tag 25 */
    wm_u8 aiq;                           /* tag 29 */
    wm_u8 present;                       /* TAG_ bits */
    wm_u16 group;                        /* tag 24 */
    wm_u8 firm[4];                       /* tag 2 */
    wm_u8 clordid[14];
    wm_u8 flags;                         /* POST_ONLY ... ON_CLOSE */
    wm_u8 smp;                           /* effective SMP_ mode */
    wm_u32 max_floor;                    /* tag 5 */
    wm_u32 expire_s;                     /* tag 15, seconds */
};
_Static_assert(sizeof(struct wm_order_cold) == 64, "size");
_Static_assert(__builtin_offsetof(struct wm_order_cold, order_ref) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, user_ref_num) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, price_ticks) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, account) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, symbol) == 18, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, min_qty) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, side_letter) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, tif_letter) == 25, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, display) == 26, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, capacity) == 27, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, sweep) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, cross) == 29, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, customer) == 30, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, located) == 31, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, aiq) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, present) == 33, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, group) == 34, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, firm) == 36, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, clordid) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, flags) == 54, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, smp) == 55, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, max_floor) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_order_cold, expire_s) == 60, "at");

/* One symbol of the partition. */
struct wm_symbol {
    wm_u8 name[8];                       /* padded with spaces */
    wm_u32 tick_size;                    /* price units (0.0001) in a tick */
    wm_u32 lot_size;                     /* round lot, for the directory */
    wm_u16 locate;                       /* ITCH stock locate */
    /* letter: T trading, H halted, P paused, Q quotation for a halt cross */
    wm_u8 state;
    /* GUARD_ bits: what admission has to look at besides, 0 nothing */
    wm_u8 guard;
    wm_i32 window_ticks;                 /* first price of the ladder's window, in ticks */
    wm_i32 reference_ticks;              /* reference price: as configured, then the last cross's */
    wm_i32 collar_ticks;                 /* trades stay so near to the reference, 0 no collar */
    wm_i32 buy_bound_ticks;              /* worst price at which a buy may trade; 2147483647 any */
    wm_i32 sell_bound_ticks;             /* the same of a sell; 0 any */
    wm_u8 reason[4];                     /* of the state, as in the feed's trading action */
    /* orders booked at the touch outside the window since it last moved */
    wm_u32 drift;
    wm_u8 rest[16];                      /* zero */
};
_Static_assert(sizeof(struct wm_symbol) == 64, "size");
_Static_assert(__builtin_offsetof(struct wm_symbol, name) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, tick_size) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, lot_size) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, locate) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, state) == 18, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, guard) == 19, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, window_ticks) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, reference_ticks) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, collar_ticks) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, buy_bound_ticks) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, sell_bound_ticks) == 36, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, reason) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, drift) == 44, "at");
_Static_assert(__builtin_offsetof(struct wm_symbol, rest) == 48, "at");

/* One side of a symbol in a group: [group * 2 * symbols + symbol * 2 + side]. */
struct wm_side {
    /* best price; -1 empty buy side, 2147483647 empty sell side */
    wm_i32 best_ticks;
    wm_u32 order_cnt;                    /* live booked orders */
    wm_i32 plain_ticks;                  /* SHOWN: first price of the reach, see hot/reach.py */
    wm_u32 plain_cnt;                    /* SHOWN: prices in the reach; 0 to be found out again */
    /* SHOWN: ladder level of price 0 modulo 2 ** 32, valid with a reach */
    wm_u32 plain_level;
    wm_u32 far_cnt;                      /* far levels */
    wm_u32 hidden_cnt;                   /* SHOWN: orders of the HIDDEN side beside it; else zero */
    wm_u32 pad;                          /* zero */
};
_Static_assert(sizeof(struct wm_side) == 32, "size");
_Static_assert(__builtin_offsetof(struct wm_side, best_ticks) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_side, order_cnt) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_side, plain_ticks) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_side, plain_cnt) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_side, plain_level) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_side, far_cnt) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_side, hidden_cnt) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_side, pad) == 28, "at");

/* A trade as a bust needs it; ring indexed by match n. */
struct wm_trade_log {
    wm_u64 number;                       /* match n, 0 nothing or broken */
    wm_u16 buy_account;
    wm_u16 sell_account;
    wm_u16 symbol;
    wm_u16 pad;                          /* zero */
    wm_u32 buy_ref;                      /* UserRefNum */
    wm_u32 sell_ref;
    wm_u8 buy_clordid[14];
    wm_u8 sell_clordid[14];
    wm_u8 rest[12];                      /* zero */
};
_Static_assert(sizeof(struct wm_trade_log) == 64, "size");
_Static_assert(__builtin_offsetof(struct wm_trade_log, number) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_trade_log, buy_account) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_trade_log, sell_account) == 10, "at");
_Static_assert(__builtin_offsetof(struct wm_trade_log, symbol) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_trade_log, pad) == 14, "at");
_Static_assert(__builtin_offsetof(struct wm_trade_log, buy_ref) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_trade_log, sell_ref) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_trade_log, buy_clordid) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_trade_log, sell_clordid) == 38, "at");
_Static_assert(__builtin_offsetof(struct wm_trade_log, rest) == 52, "at");

/* 256 consecutive UserRefNums of one account; handle = page * 256 + low byte. */
struct wm_page {
    wm_u32 key;                          /* UserRefNum >> 8 */
    wm_u32 next;                         /* account's next (newer) page, 0 none */
    wm_u32 prev;                         /* account's previous page, 0 none */
    wm_u16 account;                      /* owner */
    wm_u16 live_cnt;                     /* live orders in it */
};
_Static_assert(sizeof(struct wm_page) == 16, "size");
_Static_assert(__builtin_offsetof(struct wm_page, key) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_page, next) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_page, prev) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_page, account) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_page, live_cnt) == 14, "at");

/* An account's limits in every symbol; 0 is no limit. */
struct wm_limits {
    wm_u64 max_notional;                 /* of an order, in units of 0.0001 times shares */
    wm_u64 max_position;                 /* shares on a side of a symbol: filled net and open */
    wm_u32 max_quantity;                 /* shares of an order */
    wm_u32 max_open;                     /* live orders in all */
    wm_u32 price_band;                   /* basis points beyond the reference */
    wm_u32 duplicates;                   /* like orders within duplicate_window */
    wm_u32 duplicate_window;             /* ms */
    wm_u16 account;                      /* owner */
    wm_u16 pad;                          /* zero */
    wm_u64 rest;                         /* zero */
};
_Static_assert(sizeof(struct wm_limits) == 48, "size");
_Static_assert(__builtin_offsetof(struct wm_limits, max_notional) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_limits, max_position) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_limits, max_quantity) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_limits, max_open) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_limits, price_band) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_limits, duplicates) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_limits, duplicate_window) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_limits, account) == 36, "at");
_Static_assert(__builtin_offsetof(struct wm_limits, pad) == 38, "at");
_Static_assert(__builtin_offsetof(struct wm_limits, rest) == 40, "at");

/* An account's limits and exposure in one symbol: [slot * symbols + symbol]; in slot 0 the symbol's
   limits for everybody. */
struct wm_exposure {
    wm_u64 max_notional;                 /* as LIMITS */
    wm_u64 max_position;                 /* as LIMITS */
    wm_u32 max_quantity;                 /* as LIMITS */
    wm_u32 max_open;                     /* live orders in the symbol */
    wm_u32 price_band;                   /* as LIMITS */
    wm_u32 restricted;                   /* 1: no new orders */
    /* shares bought less shares sold since the account has a slot */
    wm_i64 position;
    wm_u64 open_buy;                     /* open shares */
    wm_u64 open_sell;
    wm_u32 open_cnt;                     /* live orders */
    wm_u32 pad;                          /* zero */
};
_Static_assert(sizeof(struct wm_exposure) == 64, "size");
_Static_assert(__builtin_offsetof(struct wm_exposure, max_notional) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_exposure, max_position) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_exposure, max_quantity) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_exposure, max_open) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_exposure, price_band) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_exposure, restricted) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_exposure, position) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_exposure, open_buy) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_exposure, open_sell) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_exposure, open_cnt) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_exposure, pad) == 60, "at");

/* A kind of order that an account has entered: [slot * RECENT_CNT + hash]. */
struct wm_recent {
    wm_u64 first_ns;                     /* record time of the first of its window */
    wm_u32 qty;
    wm_i32 price_ticks;
    wm_u16 symbol;
    wm_u8 side;
    wm_u8 pad;                           /* zero */
    wm_u32 count;                        /* so many since then, 0 an unused row */
    wm_u64 rest;                         /* zero */
};
_Static_assert(sizeof(struct wm_recent) == 32, "size");
_Static_assert(__builtin_offsetof(struct wm_recent, first_ns) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_recent, qty) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_recent, price_ticks) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_recent, symbol) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_recent, side) == 18, "at");
_Static_assert(__builtin_offsetof(struct wm_recent, pad) == 19, "at");
_Static_assert(__builtin_offsetof(struct wm_recent, count) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_recent, rest) == 24, "at");

/* First line of every region file. */
struct wm_region {
    wm_u64 magic;                        /* MAGIC */
    wm_u64 layout_digest;                /* of the declarations it was made with */
    wm_u32 record_sz;                    /* bytes of one record */
    wm_u32 instance;                     /* 0, 1, 2 ... of this day */
    wm_u64 record_cnt;                   /* records that follow */
    wm_u64 created_ns;                   /* wall clock */
    wm_u8 name[24];                      /* block name, zero padded */
    wm_u8 pad[64];                       /* zero */
};
_Static_assert(sizeof(struct wm_region) == 128, "size");
_Static_assert(__builtin_offsetof(struct wm_region, magic) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_region, layout_digest) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_region, record_sz) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_region, instance) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_region, record_cnt) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_region, created_ns) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_region, name) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_region, pad) == 64, "at");

/* Written by the supervisor's side (the launcher), read by the matcher. */
struct wm_control {
    wm_u64 word;                         /* RUN, END_DAY, STOP */
    wm_u64 midnight_ns;                  /* wall clock of the day's start */
    /* record time = monotonic clock + this, the whole day: a step of the wall clock changes nothing
       */
    wm_i64 record_offset_ns;
    wm_u64 opens_later;                  /* 1: the day starts before its market opens */
    wm_u8 pad[96];                       /* zero */
};
_Static_assert(sizeof(struct wm_control) == 128, "size");
_Static_assert(__builtin_offsetof(struct wm_control, word) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_control, midnight_ns) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_control, record_offset_ns) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_control, opens_later) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_control, pad) == 32, "at");

/* Written by the matcher, read by everyone. */
struct wm_matcher_status {
    wm_u64 state;                        /* BOOTING ... FAILED */
    wm_u64 pid;
    wm_u64 heartbeat_ns;                 /* monotonic clock at the last look at the control word */
    wm_u64 instance;
    wm_u64 rung;                         /* RUNG_ in use */
    wm_u64 journal_seq;                  /* last command's sequence */
    wm_u64 feed_seq;                     /* next feed number */
    wm_u64 warm_ms;                      /* imports, compilation and loading */
    wm_u64 cached;                       /* 1: kernels came from the cache */
    wm_u64 live_orders;
    wm_u64 zero_copy;
    wm_u64 cpu;                          /* core it is pinned to */
    wm_u64 wait;                         /* 1 spin, 2 yield, 3 block */
    wm_u64 generation;                   /* port_status.generation of the port in use */
    wm_u64 layout;                       /* OWN_QUEUE, SHARED_QUEUE, 0 on plain sockets */
    wm_u64 reopens;                      /* times this instance has taken a new port */
    /* DPDK: received, sent, missed, receive errors, send errors, no frame */
    wm_u64 device[8];
    /* 1: all its memory is there, no first touch of a page is left */
    wm_u64 present;
    /* system calls that send, those that said EAGAIN, EBUSY, device down, another error; frames
       refused for good, frames not queued, errno of the newest other error; all ports of this
       instance so far */
    wm_u64 sends[8];
    wm_u64 settled_ns;                   /* record time: all that is older stands in the streams */
    wm_u8 rest[48];                      /* zero */
};
_Static_assert(sizeof(struct wm_matcher_status) == 320, "size");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, state) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, pid) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, heartbeat_ns) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, instance) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, rung) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, journal_seq) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, feed_seq) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, warm_ms) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, cached) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, live_orders) == 72, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, zero_copy) == 80, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, cpu) == 88, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, wait) == 96, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, generation) == 104, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, layout) == 112, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, reopens) == 120, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, device) == 128, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, present) == 192, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, sends) == 200, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, settled_ns) == 264, "at");
_Static_assert(__builtin_offsetof(struct wm_matcher_status, rest) == 272, "at");

/* The machine's port side; written by portd, read by everyone. */
struct wm_portd_status {
    wm_u64 pid;
    wm_u64 heartbeat_ns;                 /* monotonic clock at the last housekeeping */
    wm_u64 starts;                       /* times a portd has started for this appliance */
    wm_u64 rung;                         /* RUNG_ of the interface now */
    wm_u64 layout;                       /* OWN_QUEUE, SHARED_QUEUE */
    wm_u64 ifindex;                      /* 0: the interface is gone */
    wm_u64 link;                         /* 1: the interface is up */
    wm_u64 recycled;                     /* receive frames handed back on a shared queue */
    wm_u64 completed;                    /* transmit frames handed back on a shared queue */
    wm_u64 fill_level;                   /* frames on a shared fill_ring at the last look */
    wm_u64 events[32];                   /* by PORT_EVENTS */
    wm_u64 reasons[20];                  /* by the XDP program's reasons */
    wm_u8 rest[16];                      /* zero */
};
_Static_assert(sizeof(struct wm_portd_status) == 512, "size");
_Static_assert(__builtin_offsetof(struct wm_portd_status, pid) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, heartbeat_ns) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, starts) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, rung) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, layout) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, ifindex) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, link) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, recycled) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, completed) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, fill_level) == 72, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, events) == 80, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, reasons) == 336, "at");
_Static_assert(__builtin_offsetof(struct wm_portd_status, rest) == 496, "at");

/* One partition's port; written by portd, read by everyone. */
struct wm_port_status {
    /* the matcher asks for its port again when this changes; 0 none yet */
    wm_u64 generation;
    wm_u64 rung;                         /* RUNG_ that the next answer will have */
    wm_u64 layout;
    wm_u64 queue;                        /* receive queue */
    wm_u64 ifindex;                      /* device it is bound to, 0 none */
    wm_u64 bound;                        /* 1: the XDP program redirects to its socket */
    wm_u64 pid;                          /* process that holds it */
    wm_u64 opens;                        /* ports handed out */
    /* AF_XDP: rx_dropped, rx_invalid, tx_invalid, rx_ring_full, fill_ring_empty, tx_ring_empty; all
       ports of this appliance so far */
    wm_u64 statistics[6];
    /* shared queue: its ring's producer when the port was handed out */
    wm_u64 return_start;
    wm_u64 free_start;                   /* shared queue: the same of its free ring */
    wm_u64 instance;                     /* instance of the matcher that holds it */
    wm_u8 rest[120];                     /* zero */
};
_Static_assert(sizeof(struct wm_port_status) == 256, "size");
_Static_assert(__builtin_offsetof(struct wm_port_status, generation) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, rung) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, layout) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, queue) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, ifindex) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, bound) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, pid) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, opens) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, statistics) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, return_start) == 112, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, free_start) == 120, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, instance) == 128, "at");
_Static_assert(__builtin_offsetof(struct wm_port_status, rest) == 136, "at");

/* A record of a one-producer ring between supervisor and matcher or recovery. */
struct wm_link {
    wm_u32 kind;                         /* LINK_CONTROL ... */
    wm_u32 account;                      /* account index; LINK_HALT: symbol index */
    /* peer address, first byte highest; of an operator's order his uid */
    wm_u32 ip;
    /* peer port, 0: TCP. LINK_LIMIT, LINK_KILL: symbol index */
    wm_u16 udp_port;
    wm_u8 mac[6];                        /* peer's Ethernet address (zero on the socket rung) */
    /* LINK_REFUSE: A or S. LINK_HALT: state. LINK_BUST: reason. LINK_IMBALANCE: cross type.
       LINK_LIMIT, LINK_KILL, LINK_MODE: detail.side_letter */
    wm_u8 reason;
    wm_u8 scope;                         /* LINK_LIMIT: detail.present. LINK_KILL: LIFT or 0 */
    wm_u8 pad[2];                        /* zero */
    /* LINK_LOGIN: first downstream number wanted; 0 = only new ones. LINK_BUST: match n.
       LINK_LIMIT: value */
    wm_u64 requested_seq;
    /* ten characters, zero padded. LINK_HALT, LINK_MODE: reason, four of them */
    wm_u8 token[16];
    /* assigned session, ten characters, zero padded; of an operator's order his name */
    wm_u8 session[16];
    wm_u32 text_sz;                      /* bytes used in text */
    wm_u32 request;                      /* number of an operator's order, 0 none */
    wm_u8 text[184];                     /* LINK_CONTROL: UDP payload, cut at 184 */
};
_Static_assert(sizeof(struct wm_link) == 256, "size");
_Static_assert(__builtin_offsetof(struct wm_link, kind) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_link, account) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_link, ip) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_link, udp_port) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_link, mac) == 14, "at");
_Static_assert(__builtin_offsetof(struct wm_link, reason) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_link, scope) == 21, "at");
_Static_assert(__builtin_offsetof(struct wm_link, pad) == 22, "at");
_Static_assert(__builtin_offsetof(struct wm_link, requested_seq) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_link, token) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_link, session) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_link, text_sz) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_link, request) == 68, "at");
_Static_assert(__builtin_offsetof(struct wm_link, text) == 72, "at");

/* Indices of a ring, each writer on its own 128 bytes; LINK records follow. */
struct wm_link_header {
    wm_u64 head_seq;                     /* next record to be written (producer) */
    wm_u64 dropped;                      /* records refused because the ring was full (producer) */
    wm_u8 pad[112];                      /* zero */
    wm_u64 tail_seq;                     /* next record to be read (consumer) */
    wm_u8 pad2[120];                     /* zero */
};
_Static_assert(sizeof(struct wm_link_header) == 256, "size");
_Static_assert(__builtin_offsetof(struct wm_link_header, head_seq) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_link_header, dropped) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_link_header, pad) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_link_header, tail_seq) == 128, "at");
_Static_assert(__builtin_offsetof(struct wm_link_header, pad2) == 136, "at");

/* A record of the ring link_tcp: the datagram that the same messages would be over UDP. */
struct wm_tcp_piece {
    wm_u32 size;                         /* bytes used in payload */
    wm_u8 pad[12];                       /* zero */
    /* MoldUDP64 header with the session's token, then blocks */
    wm_u8 payload[1520];
};
_Static_assert(sizeof(struct wm_tcp_piece) == 1536, "size");
_Static_assert(__builtin_offsetof(struct wm_tcp_piece, size) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_tcp_piece, pad) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_tcp_piece, payload) == 16, "at");

/* One account on this partition; the matcher writes, the supervisor reads. */
struct wm_session {
    wm_u32 state;                        /* SESSION_ */
    wm_u32 epoch;                        /* logins so far today */
    wm_u64 token_hi;                     /* first 8 bytes of the token, big-endian */
    wm_u64 token_lo;                     /* last 2 bytes, big-endian */
    wm_u32 ip;                           /* bound source */
    wm_u16 udp_port;                     /* bound source port, 0: over TCP */
    wm_u8 mac[6];                        /* where acknowledgements go */
    wm_u32 order_interval_ns;            /* throttle: time that an order takes, 0 no throttle */
    wm_u64 next_upstream_seq;            /* expected client message number */
    wm_u64 heard_ns;                     /* record time of the last datagram from it */
    wm_u64 sent_ns;                      /* record time of the last datagram to it */
    wm_u64 next_seq;                     /* next downstream number to be appended */
    wm_u64 sent_seq;                     /* next downstream number to be transmitted (cursor) */
    wm_u32 last_user_ref;                /* highest UserRefNum processed */
    wm_u32 page_cnt;                     /* pages held */
    wm_u32 first_page;                   /* oldest page, 0 none */
    wm_u32 last_page;                    /* newest page, 0 none */
    wm_u32 page_quota;                   /* most pages it may hold */
    wm_u32 live_cnt;                     /* live orders */
    /* new orders refused: 1 by OUCH D, 2 by the operator (KILL) */
    wm_u8 disabled;
    wm_u8 cancel_on_disconnect;
    wm_u8 smp_default;                   /* SMP_ */
    wm_u8 aiq_default;                   /* letter sent back in PREVENTED; O W N D */
    wm_u8 default_firm[4];
    wm_u64 gap_ns;                       /* when the upstream gap was first seen, 0 none */
    wm_u64 asked_ns;                     /* when the gap was last asked for */
    wm_u32 held_cnt;                     /* datagrams held behind the gap */
    wm_u32 chunk_cnt;                    /* stream chunks */
    wm_u32 first_chunk;                  /* oldest stream chunk */
    wm_u32 last_chunk;                   /* newest stream chunk */
    wm_u8 session_name[16];              /* assigned session, ten characters, zero padded */
    wm_u64 asked_down_ns;                /* last re-request served */
    wm_u32 dirty;                        /* 1: in the transmit list */
    wm_u32 ended_cnt;                    /* end-of-session datagrams sent */
    wm_u64 login_seq;                    /* number told in this login's answer */
    wm_u64 gap_end_seq;                  /* first number beyond the gap */
    wm_u64 released_seq;                 /* first downstream number that nobody may see yet */
    /* newest login over TCP: the rows above are complete when it is epoch */
    wm_u32 tcp_epoch;
    wm_u32 order_burst;                  /* throttle: orders at once */
    /* throttle: record time at which its orders so far are paid for */
    wm_u64 throttle_ns;
    wm_u64 refused_ns;                   /* first refusal of the second that refused_cnt counts */
    /* record time at which its orders leave unless it logs in, 0 none */
    wm_u64 grace_ns;
    /* refusals within a second that end the session, 0 never */
    wm_u32 throttle_refusals;
    wm_u32 refused_cnt;                  /* refusals in that second */
    wm_u32 throttled;                    /* refusals today */
    wm_u32 expulsions;                   /* sessions ended for refusals today */
    wm_u32 grace_ms;                     /* how long orders outlive a lost session */
    wm_u16 limits;                       /* its slot in the risk blocks, 0: it has no limits */
    wm_u8 rest[2];                       /* zero */
};
_Static_assert(sizeof(struct wm_session) == 256, "size");
_Static_assert(__builtin_offsetof(struct wm_session, state) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_session, epoch) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_session, token_hi) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_session, token_lo) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_session, ip) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_session, udp_port) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_session, mac) == 30, "at");
_Static_assert(__builtin_offsetof(struct wm_session, order_interval_ns) == 36, "at");
_Static_assert(__builtin_offsetof(struct wm_session, next_upstream_seq) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_session, heard_ns) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_session, sent_ns) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_session, next_seq) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_session, sent_seq) == 72, "at");
_Static_assert(__builtin_offsetof(struct wm_session, last_user_ref) == 80, "at");
_Static_assert(__builtin_offsetof(struct wm_session, page_cnt) == 84, "at");
_Static_assert(__builtin_offsetof(struct wm_session, first_page) == 88, "at");
_Static_assert(__builtin_offsetof(struct wm_session, last_page) == 92, "at");
_Static_assert(__builtin_offsetof(struct wm_session, page_quota) == 96, "at");
_Static_assert(__builtin_offsetof(struct wm_session, live_cnt) == 100, "at");
_Static_assert(__builtin_offsetof(struct wm_session, disabled) == 104, "at");
_Static_assert(__builtin_offsetof(struct wm_session, cancel_on_disconnect) == 105, "at");
_Static_assert(__builtin_offsetof(struct wm_session, smp_default) == 106, "at");
_Static_assert(__builtin_offsetof(struct wm_session, aiq_default) == 107, "at");
_Static_assert(__builtin_offsetof(struct wm_session, default_firm) == 108, "at");
_Static_assert(__builtin_offsetof(struct wm_session, gap_ns) == 112, "at");
_Static_assert(__builtin_offsetof(struct wm_session, asked_ns) == 120, "at");
_Static_assert(__builtin_offsetof(struct wm_session, held_cnt) == 128, "at");
_Static_assert(__builtin_offsetof(struct wm_session, chunk_cnt) == 132, "at");
_Static_assert(__builtin_offsetof(struct wm_session, first_chunk) == 136, "at");
_Static_assert(__builtin_offsetof(struct wm_session, last_chunk) == 140, "at");
_Static_assert(__builtin_offsetof(struct wm_session, session_name) == 144, "at");
_Static_assert(__builtin_offsetof(struct wm_session, asked_down_ns) == 160, "at");
_Static_assert(__builtin_offsetof(struct wm_session, dirty) == 168, "at");
_Static_assert(__builtin_offsetof(struct wm_session, ended_cnt) == 172, "at");
_Static_assert(__builtin_offsetof(struct wm_session, login_seq) == 176, "at");
_Static_assert(__builtin_offsetof(struct wm_session, gap_end_seq) == 184, "at");
_Static_assert(__builtin_offsetof(struct wm_session, released_seq) == 192, "at");
_Static_assert(__builtin_offsetof(struct wm_session, tcp_epoch) == 200, "at");
_Static_assert(__builtin_offsetof(struct wm_session, order_burst) == 204, "at");
_Static_assert(__builtin_offsetof(struct wm_session, throttle_ns) == 208, "at");
_Static_assert(__builtin_offsetof(struct wm_session, refused_ns) == 216, "at");
_Static_assert(__builtin_offsetof(struct wm_session, grace_ns) == 224, "at");
_Static_assert(__builtin_offsetof(struct wm_session, throttle_refusals) == 232, "at");
_Static_assert(__builtin_offsetof(struct wm_session, refused_cnt) == 236, "at");
_Static_assert(__builtin_offsetof(struct wm_session, throttled) == 240, "at");
_Static_assert(__builtin_offsetof(struct wm_session, expulsions) == 244, "at");
_Static_assert(__builtin_offsetof(struct wm_session, grace_ms) == 248, "at");
_Static_assert(__builtin_offsetof(struct wm_session, limits) == 252, "at");
_Static_assert(__builtin_offsetof(struct wm_session, rest) == 254, "at");

/* Header, apart from the data, of a stream chunk of CHUNK_SZ bytes: messages grow up, their u32
   offsets down from the end. */
struct wm_chunk {
    wm_u64 first_seq;                    /* downstream number of its first message */
    wm_u32 message_cnt;                  /* messages in it */
    wm_u32 data_off;                     /* next free byte in the chunk */
    wm_u32 next;                         /* account's next chunk, 0 none */
    wm_u32 prev;                         /* account's previous chunk */
    wm_u32 account;                      /* owner */
    wm_u8 pad[28];                       /* zero */
    /* depth in the account's list, upper half; an earlier chunk, lower half */
    wm_u64 jump;
};
_Static_assert(sizeof(struct wm_chunk) == 64, "size");
_Static_assert(__builtin_offsetof(struct wm_chunk, first_seq) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_chunk, message_cnt) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_chunk, data_off) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_chunk, next) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_chunk, prev) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_chunk, account) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_chunk, pad) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_chunk, jump) == 56, "at");

/* Cursors of the feed's log; data ring and index ring are blocks of their own. */
struct wm_feed_log {
    /* number of the next message to be appended (first is 1) */
    wm_u64 next_seq;
    wm_u64 oldest_seq;                   /* oldest number still held */
    /* virtual offset of the next byte; physical = off & (ring size - 1) */
    wm_u64 write_off;
    wm_u64 sent_seq;                     /* transmit cursor */
    wm_u64 sent_ns;                      /* record time of the last packet */
    wm_u8 session_name[16];              /* feed session, zero padded */
    /* transmit cursor of feed B where it leaves by an interface of its own */
    wm_u64 twin_seq;
    wm_u64 released_seq;                 /* first number that nobody may see yet */
    wm_u8 pad[56];                       /* zero */
};
_Static_assert(sizeof(struct wm_feed_log) == 128, "size");
_Static_assert(__builtin_offsetof(struct wm_feed_log, next_seq) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_feed_log, oldest_seq) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_feed_log, write_off) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_feed_log, sent_seq) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_feed_log, sent_ns) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_feed_log, session_name) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_feed_log, twin_seq) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_feed_log, released_seq) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_feed_log, pad) == 72, "at");

/* How far the image is; written by recovery. */
struct wm_image {
    wm_u64 next_seq;                     /* feed number of the next message to be applied */
    /* 1: messages are being applied; left so by a recovery that was killed there */
    wm_u64 busy;
    wm_u64 fault;                        /* IMAGE_ fault that ended it, 0 none */
    wm_u64 live_cnt;                     /* displayed orders */
    wm_u64 free;                         /* first of the freed places, 0 none */
    wm_u64 fresh;                        /* first place that no order has ever had */
    wm_u64 first_locate;                 /* locate of the partition's first symbol */
    wm_u8 pad[72];                       /* zero */
};
_Static_assert(sizeof(struct wm_image) == 128, "size");
_Static_assert(__builtin_offsetof(struct wm_image, next_seq) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_image, busy) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_image, fault) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_image, live_cnt) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_image, free) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_image, fresh) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_image, first_locate) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_image, pad) == 56, "at");

/* A displayed order; shares 0: a free place. */
struct wm_image_order {
    wm_u64 ref;                          /* order reference number */
    wm_u64 seq;                          /* feed number that displayed it */
    wm_u64 time_ns;                      /* of that message, since midnight */
    wm_u32 price;                        /* price4 */
    wm_u32 shares;
    wm_u32 next;                         /* next place in its chain or of the free ones, 0 none */
    wm_u32 firm;                         /* attribution, as four bytes of memory */
    wm_u16 symbol;                       /* index */
    wm_u8 side;                          /* B or S */
    wm_u8 attributed;                    /* 1: told by F */
    wm_u8 pad[4];                        /* zero */
};
_Static_assert(sizeof(struct wm_image_order) == 48, "size");
_Static_assert(__builtin_offsetof(struct wm_image_order, ref) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_image_order, seq) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_image_order, time_ns) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_image_order, price) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_image_order, shares) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_image_order, next) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_image_order, firm) == 36, "at");
_Static_assert(__builtin_offsetof(struct wm_image_order, symbol) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_image_order, side) == 42, "at");
_Static_assert(__builtin_offsetof(struct wm_image_order, attributed) == 43, "at");
_Static_assert(__builtin_offsetof(struct wm_image_order, pad) == 44, "at");

/* The newest R and H of a symbol; zero before any. */
struct wm_image_symbol {
    wm_u8 directory[39];                 /* ITCH R */
    wm_u8 action[25];                    /* ITCH H */
};
_Static_assert(sizeof(struct wm_image_symbol) == 64, "size");
_Static_assert(__builtin_offsetof(struct wm_image_symbol, directory) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_image_symbol, action) == 39, "at");

/* Cursors of the journal ring of JOURNAL_RECORDs. */
struct wm_journal_header {
    wm_u64 next_seq;                     /* sequence of the next command */
    wm_u64 last_ns;                      /* time of the last one */
    wm_u64 checksum;                     /* running CRC32C over all records of the day */
    wm_u64 block_cnt;                    /* bursts appended */
    wm_u64 ready_seq;                    /* newest command that may be copied; published last */
    wm_u8 pad[88];                       /* zero */
};
_Static_assert(sizeof(struct wm_journal_header) == 128, "size");
_Static_assert(__builtin_offsetof(struct wm_journal_header, next_seq) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_header, last_ns) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_header, checksum) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_header, block_cnt) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_header, ready_seq) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_header, pad) == 40, "at");

/* Written by journal@p, read by the matcher and the launcher. */
struct wm_journal_status {
    /* newest command that is in a file: its record in the ring may go */
    wm_u64 copied_seq;
    wm_u64 durable_seq;                  /* newest command that a sync has brought to the disk */
    wm_u64 state;                        /* JOURNAL_OPENING ... JOURNAL_FAILED */
    wm_u64 pid;
    wm_u64 heartbeat_ns;                 /* monotonic clock at the last look at the ring */
    /* newest command in the files when it was opened, 0 a new day */
    wm_u64 begin_seq;
    wm_u64 name_instance;                /* instance of the day's stream names */
    wm_u64 lost_tail;                    /* 1: a tail may be lost, so the names are new ones */
    wm_u64 cut_bytes;                    /* bytes of a torn tail that were cut */
    wm_u64 sync_cnt;
    wm_u64 sync_ns;                      /* time of the last sync */
    wm_u64 sync_max_ns;                  /* of the longest */
    wm_u64 block_cnt;                    /* blocks written */
    wm_u64 byte_cnt;                     /* bytes written */
    wm_u64 segment;                      /* number of the segment in use */
    wm_u8 rest[136];                     /* zero */
};
_Static_assert(sizeof(struct wm_journal_status) == 256, "size");
_Static_assert(__builtin_offsetof(struct wm_journal_status, copied_seq) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, durable_seq) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, state) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, pid) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, heartbeat_ns) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, begin_seq) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, name_instance) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, lost_tail) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, cut_bytes) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, sync_cnt) == 72, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, sync_ns) == 80, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, sync_max_ns) == 88, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, block_cnt) == 96, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, byte_cnt) == 104, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, segment) == 112, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_status, rest) == 120, "at");

/* Scalars of the matching core; written by the matcher. */
struct wm_engine {
    wm_u64 next_order_ref;               /* n of the next order reference */
    wm_u64 next_match;                   /* n of the next match number */
    /* record time of the command being applied, since midnight */
    wm_u64 time_ns;
    wm_u64 live_orders;                  /* orders with open quantity */
    wm_u64 partition;
    wm_u64 phase;                        /* 0 before, 1 open, 2 closed, 3 pre-open */
    wm_u64 free_page;                    /* free pages on the stack */
    wm_u64 free_far;                     /* free far slots */
    wm_u64 free_chunk;                   /* free stream chunks on the stack */
    wm_u64 far_scans;                    /* searches for a far price */
    wm_u64 symbol_cnt;
    wm_u64 account_cnt;
    wm_u64 lg_ladder;                    /* log2 of ladder levels a side */
    wm_u64 far_cap;                      /* far levels a side at most */
    wm_u64 event_cap;
    wm_u64 fault;                        /* first broken invariant's code, 0 none */
    /* shares of command resume_at that still look for a trade, 0 none */
    wm_u64 unfinished;
    wm_u64 resume_at;                    /* index of the command that `apply` must go on with */
    wm_u64 resume_owner;                 /* its side: symbol * 2 + side */
    /* events that refreshes and decrements may still use in this call */
    wm_u64 spare_events;
    wm_u64 timer_cnt;                    /* orders in the heap of expiry times */
    wm_u64 follow_after;                 /* touches outside the window before it follows, 0 never */
    wm_u64 windows_moved;                /* times a ladder's window followed its market */
    wm_u64 parts_owed;                   /* parts that the booked reserve orders may still show */
    wm_u64 next_far;                     /* first of the free far slots */
    wm_u64 free_block;                   /* first of the free far blocks, 0 none */
    /* MODE_NORMAL ... MODE_HALTED; not normal: throttles at half their rates */
    wm_u32 mode;
    wm_u32 expelled_cnt;                 /* live sessions that their throttle ends */
    wm_u64 grace_due_ns;                 /* earliest grace_ns, 0 none */
    wm_u32 killed;                       /* 1: the venue is killed */
    wm_u32 slots;                        /* accounts that have limits */
    wm_u32 outcome;                      /* DONE ... NO_ROOM of the operator's newest command */
    wm_u32 asked;                        /* number of its request */
    wm_u64 asked_seq;                    /* its sequence */
    wm_u8 rest[8];                       /* zero */
};
_Static_assert(sizeof(struct wm_engine) == 256, "size");
_Static_assert(__builtin_offsetof(struct wm_engine, next_order_ref) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, next_match) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, time_ns) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, live_orders) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, partition) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, phase) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, free_page) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, free_far) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, free_chunk) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, far_scans) == 72, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, symbol_cnt) == 80, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, account_cnt) == 88, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, lg_ladder) == 96, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, far_cap) == 104, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, event_cap) == 112, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, fault) == 120, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, unfinished) == 128, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, resume_at) == 136, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, resume_owner) == 144, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, spare_events) == 152, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, timer_cnt) == 160, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, follow_after) == 168, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, windows_moved) == 176, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, parts_owed) == 184, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, next_far) == 192, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, free_block) == 200, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, mode) == 208, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, expelled_cnt) == 212, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, grace_due_ns) == 216, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, killed) == 224, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, slots) == 228, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, outcome) == 232, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, asked) == 236, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, asked_seq) == 240, "at");
_Static_assert(__builtin_offsetof(struct wm_engine, rest) == 248, "at");

/* Head of a symbol's row in the depth block, under a sequence lock. */
struct wm_depth {
    /* odd while the row is written, two more with each writing; 0 never written */
    wm_u64 seq;
    wm_u64 feed_seq;                     /* every feed message below this number is in */
    wm_u64 time_ns;                      /* record time, since midnight */
    wm_u32 bid_cnt;                      /* buy levels that count */
    wm_u32 ask_cnt;                      /* sell levels that count */
    wm_u8 pad[32];                       /* zero */
};
_Static_assert(sizeof(struct wm_depth) == 64, "size");
_Static_assert(__builtin_offsetof(struct wm_depth, seq) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_depth, feed_seq) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_depth, time_ns) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_depth, bid_cnt) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_depth, ask_cnt) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_depth, pad) == 32, "at");

/* One price of one side. */
struct wm_depth_level {
    wm_i32 price_ticks;
    wm_u32 orders;                       /* orders there */
    wm_u64 qty;                          /* their open quantity */
};
_Static_assert(sizeof(struct wm_depth_level) == 16, "size");
_Static_assert(__builtin_offsetof(struct wm_depth_level, price_ticks) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_depth_level, orders) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_depth_level, qty) == 8, "at");

/* Where a partition's orders are addressed to and arrive. */
struct wm_place {
    wm_u32 ip;                           /* as in the frame, network order */
    wm_u32 ifindex;                      /* 0: not bound yet */
    wm_u32 queue;                        /* receive queue */
    wm_u32 stamped;                      /* 1: packets get metadata */
};
_Static_assert(sizeof(struct wm_place) == 16, "size");
_Static_assert(__builtin_offsetof(struct wm_place, ip) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_place, ifindex) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_place, queue) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_place, stamped) == 12, "at");

/* Sources whose hash is this set's number. */
struct wm_source_set {
    /* as in the frame; a free place holds an address of another set */
    wm_u32 ip[4];
    wm_u16 id[4];                        /* index of limits, debts and guarded; below SOURCE_MAX */
    wm_u64 pad;                          /* zero */
};
_Static_assert(sizeof(struct wm_source_set) == 32, "size");
_Static_assert(__builtin_offsetof(struct wm_source_set, ip) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_source_set, id) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_source_set, pad) == 24, "at");

/* The flood guard of a source, in sixteenths of a nanosecond. */
struct wm_limit {
    wm_u64 price;                        /* of one message, 1 / rate; 0: no limit */
    wm_u64 room;                         /* burst * price */
};
_Static_assert(sizeof(struct wm_limit) == 16, "size");
_Static_assert(__builtin_offsetof(struct wm_limit, price) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_limit, room) == 8, "at");

/* One source under the flood guard; the XDP program writes, matchers read. */
struct wm_guarded {
    /* its address, first byte highest; 0: nothing was dropped yet */
    wm_u64 ip;
    /* coarse monotonic clock of the newest datagram dropped, 0 none */
    wm_u64 dropped_ns;
    wm_u64 dropped_cnt;                  /* datagrams dropped */
};
_Static_assert(sizeof(struct wm_guarded) == 24, "size");
_Static_assert(__builtin_offsetof(struct wm_guarded, ip) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_guarded, dropped_ns) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_guarded, dropped_cnt) == 16, "at");

/* Head of a segment file; its checksum covers the rest of the header too. */
struct wm_segment {
    wm_u64 magic;                        /* SEGMENT_MAGIC */
    wm_u32 crc;                          /* over all of the header that follows */
    wm_u32 format;                       /* JOURNAL_FORMAT */
    wm_u32 header_sz;                    /* offset of the first block */
    wm_u32 record_sz;                    /* bytes of a JOURNAL_RECORD */
    wm_u32 partition;
    wm_u32 instance;                     /* of the stream names, 0, 1, 2 ... of this day */
    wm_u32 date;                         /* YYYYMMDD of the session's day */
    wm_u32 generation;                   /* segment number, 1, 2, 3 ... through the day */
    wm_u64 midnight_ns;                  /* wall clock of the day's start */
    wm_u64 first_seq;                    /* sequence of its first record */
    /* bytes taken on disk while it is written; a closed one is cut to its blocks */
    wm_u64 segment_sz;
    wm_u64 created_ns;                   /* wall clock */
    wm_u64 layout_digest;                /* of the program that wrote it */
    wm_u32 chain;                        /* checksum of the block before, 0 of the first segment */
    wm_u32 level;                        /* LEVEL_ at which it was started */
    wm_u32 genesis_off;                  /* GENESIS_OFF or SEGMENT_HEADER_SZ */
    wm_u32 genesis_sz;                   /* its bytes */
    wm_u32 genesis_crc;                  /* over the text */
    wm_u32 epoch;                        /* of the writer */
    wm_u8 genesis_digest[32];            /* SHA-256 of the text */
    /* SHA-256 of the closed segment before, as sha256sum prints it; zero in the first */
    wm_u8 before_sha256[32];
    wm_u8 rest[88];                      /* zero */
};
_Static_assert(sizeof(struct wm_segment) == 256, "size");
_Static_assert(__builtin_offsetof(struct wm_segment, magic) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, crc) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, format) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, header_sz) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, record_sz) == 20, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, partition) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, instance) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, date) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, generation) == 36, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, midnight_ns) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, first_seq) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, segment_sz) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, created_ns) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, layout_digest) == 72, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, chain) == 80, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, level) == 84, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, genesis_off) == 88, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, genesis_sz) == 92, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, genesis_crc) == 96, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, epoch) == 100, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, genesis_digest) == 104, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, before_sha256) == 136, "at");
_Static_assert(__builtin_offsetof(struct wm_segment, rest) == 168, "at");

/* Header of a block; `count` JOURNAL_RECORDs follow. */
struct wm_journal_block {
    wm_u32 magic;                        /* BLOCK_MAGIC */
    wm_u32 crc;                          /* over all of the block that follows */
    wm_u32 generation;                   /* of its segment */
    wm_u32 count;                        /* records, CHECK: 0 */
    wm_u64 first_seq;                    /* of its first record; CHECK: of the next record */
    wm_u32 prev_crc;                     /* checksum of the block before, or of the header */
    wm_u32 sz;                           /* bytes of the block */
    wm_u64 wall_ns;                      /* wall clock when it was written */
    wm_u32 kind;                         /* BLOCK_RECORDS, BLOCK_CHECK */
    wm_u32 epoch;                        /* of the writer */
    /* CHECK: the core's when all records before were applied */
    wm_u64 state_hash;
    wm_u64 output_hash;                  /* CHECK: running hash of the outputs so far */
};
_Static_assert(sizeof(struct wm_journal_block) == 64, "size");
_Static_assert(__builtin_offsetof(struct wm_journal_block, magic) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_block, crc) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_block, generation) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_block, count) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_block, first_seq) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_block, prev_crc) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_block, sz) == 28, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_block, wall_ns) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_block, kind) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_block, epoch) == 44, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_block, state_hash) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_block, output_hash) == 56, "at");

/* Head of a superblock: how far the journal is known to be on the disk. */
struct wm_watermark {
    wm_u64 magic;                        /* WATERMARK_MAGIC */
    wm_u32 crc;                          /* over all of the superblock that follows */
    wm_u32 format;                       /* JOURNAL_FORMAT */
    wm_u64 counter;                      /* writings; the higher one counts */
    wm_u64 durable_seq;                  /* last record that was synced, 0 none */
    wm_u64 segment;                      /* number of the segment it ends in, 0 none yet */
    wm_u64 off;                          /* offset behind the last synced block */
    wm_u64 wall_ns;                      /* wall clock of the writing */
    wm_u8 boot_id[16];                   /* of the kernel */
    wm_u32 partition;
    wm_u32 clean;                        /* 1: the writer was closed, nothing follows */
    wm_u64 pid;                          /* of the writer */
    wm_u8 rest[40];                      /* zero */
};
_Static_assert(sizeof(struct wm_watermark) == 128, "size");
_Static_assert(__builtin_offsetof(struct wm_watermark, magic) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, crc) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, format) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, counter) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, durable_seq) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, segment) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, off) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, wall_ns) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, boot_id) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, partition) == 72, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, clean) == 76, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, pid) == 80, "at");
_Static_assert(__builtin_offsetof(struct wm_watermark, rest) == 88, "at");

/* Head of the file of checks. */
struct wm_checks_head {
    wm_u64 magic;                        /* CHECKS_MAGIC */
    wm_u32 crc;                          /* over all of the head that follows */
    wm_u32 format;                       /* JOURNAL_FORMAT */
    wm_u8 genesis_digest[32];            /* as in every SEGMENT */
    wm_u32 partition;
    wm_u8 pad[12];                       /* zero */
};
_Static_assert(sizeof(struct wm_checks_head) == 64, "size");
_Static_assert(__builtin_offsetof(struct wm_checks_head, magic) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_checks_head, crc) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_checks_head, format) == 12, "at");
_Static_assert(__builtin_offsetof(struct wm_checks_head, genesis_digest) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_checks_head, partition) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_checks_head, pad) == 52, "at");

/* What a replay's state and outputs were behind a command. */
struct wm_check {
    wm_u32 crc;                          /* over all of the check that follows */
    wm_u32 prev_crc;                     /* checksum of the check before, or of the head */
    wm_u64 seq;                          /* the command */
    wm_u64 from_seq;                     /* the command that the outputs are since */
    wm_u64 state_hash;                   /* sampled, see journal/samples.py */
    /* of the streams (upper half) and the feed since from_seq */
    wm_u64 output_hash;
    wm_u64 wall_ns;                      /* wall clock when it was written */
    wm_u8 pad[16];                       /* zero */
};
_Static_assert(sizeof(struct wm_check) == 64, "size");
_Static_assert(__builtin_offsetof(struct wm_check, crc) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_check, prev_crc) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_check, seq) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_check, from_seq) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_check, state_hash) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_check, output_hash) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_check, wall_ns) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_check, pad) == 48, "at");

/* The matcher's state behind a command, in a ring of STATE_MARK_CNT by seq divided by
   STATE_MARK_EVERY. */
struct wm_state_mark {
    /* the command, 0 none; written last, and 0 while the rest is written */
    wm_u64 seq;
    wm_u64 checksum;                     /* running CRC32C over all records of the day */
    wm_u64 feed_off;                     /* feed_log.write_off */
    wm_u64 feed_seq;                     /* feed_log.next_seq */
    wm_u64 order_ref;                    /* engine.next_order_ref */
    wm_u64 match;                        /* engine.next_match */
    wm_u64 live_orders;                  /* engine.live_orders */
    wm_u64 pages;                        /* engine.free_page */
    wm_u64 chunks;                       /* engine.free_chunk */
    wm_u64 timers;                       /* engine.timer_cnt */
    wm_u64 streams;                      /* sum of all accounts' next_seq */
    wm_u64 users;                        /* sum of all accounts' last_user_ref */
    wm_u8 rest[32];                      /* zero */
};
_Static_assert(sizeof(struct wm_state_mark) == 128, "size");
_Static_assert(__builtin_offsetof(struct wm_state_mark, seq) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, checksum) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, feed_off) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, feed_seq) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, order_ref) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, match) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, live_orders) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, pages) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, chunks) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, timers) == 72, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, streams) == 80, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, users) == 88, "at");
_Static_assert(__builtin_offsetof(struct wm_state_mark, rest) == 96, "at");

/* Written by shadow@p, read by the launcher. */
struct wm_shadow_status {
    wm_u64 pid;
    wm_u64 heartbeat_ns;                 /* monotonic clock at the last look at the journal */
    wm_u64 seq;                          /* newest command that its core has taken */
    wm_u64 begun_seq;                    /* command of the snapshot it began with, 0 the genesis */
    wm_u64 snapshot_seq;                 /* of the newest snapshot */
    wm_u64 snapshots;                    /* written */
    wm_u64 snapshot_ns;                  /* time that the last one took */
    wm_u64 snapshot_bytes;               /* its size */
    wm_u64 snapshot_failures;            /* that were not written */
    wm_u64 checks;                       /* hashes recorded */
    wm_u64 checked;                      /* found as they were recorded before */
    wm_u64 marks;                        /* of the live matcher that were found equal */
    /* times the replay and the matcher, or an older replay, differed */
    wm_u64 diverged_cnt;
    wm_u64 diverged_seq;                 /* command of the first time, 0 none */
    wm_u64 diverged_what;                /* index into DIVERGENCES */
    wm_u64 diverged_live;                /* what the matcher, or the older replay, had */
    wm_u64 diverged_here;                /* what the replay has */
    wm_u64 passed_over;                  /* snapshots not used */
    wm_u64 cpu_ns;                       /* CPU time that it has taken */
    wm_u8 rest[104];                     /* zero */
};
_Static_assert(sizeof(struct wm_shadow_status) == 256, "size");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, pid) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, heartbeat_ns) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, seq) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, begun_seq) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, snapshot_seq) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, snapshots) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, snapshot_ns) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, snapshot_bytes) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, snapshot_failures) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, checks) == 72, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, checked) == 80, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, marks) == 88, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, diverged_cnt) == 96, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, diverged_seq) == 104, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, diverged_what) == 112, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, diverged_live) == 120, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, diverged_here) == 128, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, passed_over) == 136, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, cpu_ns) == 144, "at");
_Static_assert(__builtin_offsetof(struct wm_shadow_status, rest) == 152, "at");

/* Where a reader of blocks stands (native/walk.c); not on disk. */
struct wm_journal_walk {
    wm_u32 generation;                   /* of the segment */
    wm_u32 prev_crc;                     /* of the block before */
    wm_u64 next_seq;                     /* sequence expected next */
    wm_u64 off;                          /* first byte not yet read */
    wm_u64 time_ns;                      /* of the last record */
    wm_u64 wall_ns;                      /* of the last block */
    wm_u32 epoch;                        /* of the last block */
    wm_u32 why;                          /* WALK_ of the stop */
    wm_u64 from_seq;                     /* records before it are not copied */
    wm_u64 room;                         /* records that may be copied */
    wm_u64 taken;                        /* records copied */
    wm_u64 blocks;                       /* blocks read */
    wm_u64 checks;                       /* CHECK blocks among them */
    wm_u64 check_seq;                    /* last record before the newest CHECK */
    wm_u64 check_state;                  /* its state_hash */
    wm_u64 check_output;                 /* its output_hash */
    wm_u64 pad[2];                       /* zero */
};
_Static_assert(sizeof(struct wm_journal_walk) == 128, "size");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, generation) == 0, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, prev_crc) == 4, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, next_seq) == 8, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, off) == 16, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, time_ns) == 24, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, wall_ns) == 32, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, epoch) == 40, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, why) == 44, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, from_seq) == 48, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, room) == 56, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, taken) == 64, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, blocks) == 72, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, checks) == 80, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, check_seq) == 88, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, check_state) == 96, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, check_output) == 104, "at");
_Static_assert(__builtin_offsetof(struct wm_journal_walk, pad) == 112, "at");

#endif

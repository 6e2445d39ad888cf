"""The blocks of recovery's image: the displayed book as the feed has told it, for GLIMPSE."""

from .lang import native

IMAGE = native(
    "image", 128, "How far the image is; written by recovery.",
    ("next_seq", "u64", "feed number of the next message to be applied"),
    ("busy", "u64", "1: messages are being applied; left so by a recovery that was killed there"),
    ("fault", "u64", "IMAGE_ fault that ended it, 0 none"), ("live_cnt", "u64", "displayed orders"),
    ("free", "u64", "first of the freed places, 0 none"),
    ("fresh", "u64", "first place that no order has ever had"),
    ("first_locate", "u64", "locate of the partition's first symbol"), ("pad", "u8", 72, "zero"),
)
IMAGE_LAPPED, IMAGE_STRANGE, IMAGE_FULL, IMAGE_TORN = 1, 2, 3, 4
IMAGE_ORDER = native(
    "image_order", 48, "A displayed order; shares 0: a free place.",
    ("ref", "u64", "order reference number"), ("seq", "u64", "feed number that displayed it"),
    ("time_ns", "u64", "of that message, since midnight"),
    ("price", "u32", "price4"), ("shares", "u32", ""),
    ("next", "u32", "next place in its chain or of the free ones, 0 none"),
    ("firm", "u32", "attribution, as four bytes of memory"),
    ("symbol", "u16", "index"), ("side", "u8", "B or S"), ("attributed", "u8", "1: told by F"),
    ("pad", "u8", 4, "zero"),
)
IMAGE_SYMBOL = native(
    "image_symbol", 64, "The newest R and H of a symbol; zero before any.",
    ("directory", "u8", 39, "ITCH R"), ("action", "u8", 25, "ITCH H"),
)

"""The depth block's measures and the matcher's private queue of symbols to publish; no kernels."""

import numpy as np

from ..layout.shared import DEPTH, DEPTH_LEVEL

HEAD_WORDS, LEVEL_WORDS, _LINE_WORDS = DEPTH.size // 8, DEPTH_LEVEL.size // 8, 8

# touched: these words, then a ring of symbols, then a mark for each symbol that is in it
SEEN_SEQ, TOUCHED_HEAD, TOUCHED_TAIL, LEVELS, LAST_NS, WORDS = 0, 1, 2, 3, 4, 5


def row_words(levels: int) -> int:
    """64-bit words of a symbol's row with that many levels a side: whole cache lines."""
    words = HEAD_WORDS + 2 * levels * LEVEL_WORDS
    return -(-words // _LINE_WORDS) * _LINE_WORDS


def build_touched(symbol_cnt: int, levels: int) -> np.ndarray:
    """i64[WORDS + 2 * symbols]: nothing touched, the feed not looked at yet."""
    touched = np.zeros(WORDS + 2 * symbol_cnt, np.int64)
    touched[SEEN_SEQ], touched[LEVELS] = 1, levels
    return touched

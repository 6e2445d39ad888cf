"""Crosses: nothing crosses yet, the book's side of it comes with the book."""

import numpy as np

from .kernel import kernel


@kernel
def run(book, symbol, group, letter, events, event_cnt):
    """The cross of a symbol: CROSSED..., CROSS_DONE, REFRESHED... from events[event_cnt] on."""
    return event_cnt


@kernel
def imbalance(book, symbol, group):
    """(paired, imbalance, direction, far, near, reference, variation) of a cross now."""
    zero, reference = np.int64(0), np.int64(book.symbols[symbol]["reference_ticks"])
    return zero, zero, np.int64(ord("O")), zero, zero, reference, np.int64(ord(" "))

"""One stream of random numbers (xoshiro256**) and the draws that the workload's market makes of it.

`s` is the stream, four words that each draw changes. Its numbers are the same on every machine.
"""

import math

import numpy as np
from numba import njit

_U = np.uint64
_FULL_MASK = (1 << 64) - 1


def stream(seed):
    """The four words of a xoshiro256** stream, from a seed by splitmix64."""
    words = []
    for _ in range(4):
        seed = (seed + 0x9E3779B97F4A7C15) & _FULL_MASK
        word = ((seed ^ seed >> 30) * 0xBF58476D1CE4E5B9) & _FULL_MASK
        word = ((word ^ word >> 27) * 0x94D049BB133111EB) & _FULL_MASK
        words.append(word ^ word >> 31)
    return np.array(words, np.uint64)


@njit(cache=True, _nrt=False, forceinline=True)
def _rotated(word, by):
    return word << _U(by) | word >> _U(64 - by)


@njit(cache=True, _nrt=False)
def draw(s):
    result = _rotated(s[1] * _U(5), 7) * _U(9)
    shifted = s[1] << _U(17)
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= shifted
    s[3] = _rotated(s[3], 45)
    return result


@njit(cache=True, _nrt=False, forceinline=True)
def fraction(s):
    """Evenly over [0, 1), 53 bits."""
    return np.float64(draw(s) >> _U(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, _nrt=False, forceinline=True)
def below(s, limit):
    """An int64 of 0 .. limit - 1."""
    return np.int64((draw(s) >> _U(32)) * _U(limit) >> _U(32))


@njit(cache=True, _nrt=False, forceinline=True)
def one_side(s):
    return np.int64(draw(s) >> _U(63))


@njit(cache=True, _nrt=False, forceinline=True)
def geometric(s, mean):
    """0, 1, 2 ... with this mean."""
    return np.int64(math.log(1 - fraction(s)) / math.log(1 - 1 / (mean + 1)))

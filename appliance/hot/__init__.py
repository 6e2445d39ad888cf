"""Kernels: all that runs inside a burst. No clock, float, allocation, exception, dict or string.

Start with `port` (where frames come from and go to), then `fence` and `endian` (how a kernel
touches shared memory and wire bytes). A kernel gets arrays and scalars; whoever calls it has
allocated every array. May import: `layout`, numba, numpy, the C functions of `native`.
"""

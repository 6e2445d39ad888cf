"""Names for the numba types of the burst loop's arguments: words, Io, Port, PARAMS.

Each is derived from a smallest instance, so a type can never disagree with what the constructors
make.
"""

import numpy as np
from numba import types, typeof, uint64

from ..layout import params as layout
from .io_state import build_io
from .port_state import RX_DESC, Port
from .state import Sizes
from .types import BYTES

WORDS = uint64[::1]

_u32 = typeof(np.zeros(1, np.uint32))
PORT = types.NamedTuple(
    [WORDS, BYTES, typeof(np.zeros(1, RX_DESC)), _u32, WORDS, _u32, WORDS, _u32, WORDS, _u32,
     WORDS, WORDS], Port)
IO = typeof(build_io(Sizes(accounts=1, holds=1, link_depth=1)))
PARAMS_ARRAY = typeof(np.zeros(1, layout.PARAMS.dtype))
LINK_ARRAY = IO.types[4]
PARSED = types.UniTuple(types.int64, 4)

"""Which arrays an image has (hot/image.py): apart from its kernels, for the topology."""

import numpy as np

from ..layout.shared import IMAGE, IMAGE_ORDER, IMAGE_SYMBOL

SYMBOL_SZ = IMAGE_SYMBOL.size


def image_blocks(sizes):
    """(name, dtype, count) of the arrays that an image of state.Sizes has for itself."""
    places = sizes.pages * 256
    return (("image", IMAGE.dtype, 1),
            ("image_chains", np.dtype(np.uint32), 1 << (places - 1).bit_length()),
            ("image_orders", IMAGE_ORDER.dtype, places),
            ("image_symbols", np.dtype(np.uint8), sizes.symbols * SYMBOL_SZ))

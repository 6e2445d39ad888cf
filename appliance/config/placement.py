"""Which partition a symbol lives in: the one its entry names, else by the hash of its name.

The rule is part of the wire specification: participants may compute it, and never have to.
"""


def fnv1a64(data: bytes) -> int:
    """The FNV-1a hash, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def partition_of(symbol: str, partition_cnt: int) -> int:
    """The partition that owns a symbol: hash of its name, padded to 8 with spaces."""
    return fnv1a64(symbol.ljust(8).encode("ascii")) % partition_cnt


def owner(symbol: str, wanted: int, partition_cnt: int) -> int:
    """The partition of a symbol whose entry names `wanted`; -1 leaves it to the hash."""
    return partition_of(symbol, partition_cnt) if wanted < 0 else wanted


def shares(symbols, partition_cnt: int) -> list[list]:
    """The symbols (with `name` and `partition`) of each partition, in the order of the file."""
    owned = [[] for _ in range(partition_cnt)]
    for symbol in symbols:
        owned[owner(symbol.name, symbol.partition, partition_cnt)].append(symbol)
    return owned

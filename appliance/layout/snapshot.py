"""A snapshot file: a SNAPSHOT, a text of JSON (genesis and sections), the sections' bytes.

The text is {"genesis": ..., "sections": [[name, [[field, numpy type, ...], ...], rows], ...]}; the
bytes of the sections follow it in that order without a gap. Nothing in the file depends on when or
where it was written: the same state of the same partition gives the same file.
"""

from .lang import native

SNAPSHOT_MAGIC = 0x3130504E534D57        # "WMSNP01" in the file
SNAPSHOT_FORMAT = 1

SNAPSHOT = native(
    "snapshot", 64, "Head of a snapshot file.",
    ("magic", "u64", "SNAPSHOT_MAGIC"), ("crc", "u32", "CRC32C over all of the file that follows"),
    ("format", "u32", "SNAPSHOT_FORMAT"), ("seq", "u64", "last command that is in it"),
    ("state_hash", "u64", "of the state (journal/state_hash.py)"),
    ("text_sz", "u64", "bytes of the text"), ("body_sz", "u64", "bytes of all sections"),
    ("layout_digest", "u64", "of the program that wrote it"), ("partition", "u32", ""),
    ("pad", "u32", "zero"),
)

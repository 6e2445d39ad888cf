"""The declaration language refuses declarations that contradict themselves."""

import numpy as np
import pytest

from appliance.layout.lang import LayoutError, Message, native, wire


@pytest.mark.parametrize("declare, said", [
    (lambda: native("s", 8, "", ("a", "u32")), "fields take 4 bytes, declared 8"),
    (lambda: native("s", 9, "", ("a", "u8"), ("b", "u64")), "s.b: offset 1 is not a multiple of 8"),
    (lambda: native("s", 8, "", ("a", "u32"), ("a", "u32")), "'a' is declared twice"),
    (lambda: native("s", 4, "", ("a", "price4")), "type price4 is for the wire only"),
    (lambda: native("s", 4, "", ("a", "float")), "no type 'float'"),
    (lambda: wire("s", 6, "", (0, "a", "u32"), (5, "b", "u16")), "declared at 5, falls at 4"),
    (lambda: Message("p", "in", "A", "s", 1, [(0, "type", "alpha")], tags=(2,)),
     "tags without an appendage"),
    (lambda: Message("p", "in", "A", "s", 1, [(0, "type", "alpha")], appendage="mandatory"),
     "appendage mandatory, last field type"),
    (lambda: Message("p", "in", "A", "s", 1, [(0, "type", "alpha")], appendage="maybe"),
     "is not mandatory, optional, never"),
])
def test_contradiction_is_refused_in_words(declare, said):
    with pytest.raises(LayoutError, match=said):
        declare()


def test_native_struct_is_little_endian_and_wire_fields_are_bytes():
    struct = native("s", 16, "", ("a", "u16"), ("b", "u8", 6), ("c", "i64"))
    assert struct.dtype == np.dtype([("a", "<u2"), ("b", "u1", 6), ("c", "<i8")])
    packed = wire("w", 14, "", ("a", "u48"), ("b", "price4w"))
    assert packed.dtype["a"].shape == (6,) and packed["b"].off == 6 and packed["b"].size == 8


def test_row_takes_offset_count_text_and_values_in_order():
    field = wire("w", 4, "", (0, "a", "alpha", 4, "what it is", {"X": "unknown"}))["a"]
    assert (field.off, field.count, field.doc, field.values) == (0, 4, "what it is",
                                                                 {"X": "unknown"})


def test_optional_appendage_has_two_lengths_only_in_edition_b():
    rows = [(0, "type", "alpha")]
    assert Message("p", "in", "A", "s", 1, rows, appendage="optional").lengths == (1, 3)
    assert Message("p", "in", "A", "s", 1, rows, appendage="optional",
                   editions="A").lengths == (1,)

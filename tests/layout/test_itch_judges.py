"""itchfeed (pure Python) and itchcpp (C++) read the same fields from ITCH bytes as our codec."""

import os

import pytest

os.environ["ITCH_NO_CPP"] = "1"          # before the first import: the pure Python form

import itch                              # noqa: E402
import itch.messages                     # noqa: E402
import itchcpp.messages                  # noqa: E402

from appliance.layout.codec import decode, encode   # noqa: E402
from appliance.layout.wire_itch import ITCH         # noqa: E402
from tests.layout.vectors import VECTORS            # noqa: E402

JUDGES = {"itchfeed": itch.messages.messages, "itchcpp": itchcpp.messages.messages}
THEIR_NAMES = {"auction_collar_extension": "auction_collar_extention"}
VECTOR_IDS = [name for name in VECTORS if name.startswith("I")]


def judged(judge, raw):
    """The judge's message object and its fields under our names."""
    message = JUDGES[judge][raw[:1]](raw)
    fields = {}
    for field in ITCH[chr(raw[0])].fields[1:]:
        value = getattr(message, THEIR_NAMES.get(field.name, field.name))
        fields[field.name] = value.decode().rstrip() if isinstance(value, bytes) else value
    return message, fields


def test_the_pure_python_judge_is_pure():
    assert not itch.USING_CPP_BACKEND
    assert "itchcpp" not in type(judged("itchfeed", VECTORS["I11"].raw)[0]).__module__


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("name", VECTOR_IDS)
def test_judge_reads_what_we_read(judge, name):
    raw = VECTORS[name].raw
    message, fields = judged(judge, raw)
    assert fields == dict(decode("itch", "out", raw))
    assert message.to_bytes() == raw


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("letter", ITCH)
def test_judge_reads_extreme_values_that_we_encode(judge, letter):
    fields = {}
    for field in ITCH[letter].fields[1:]:
        if field.type == "alpha":
            fields[field.name] = "Zz09"[:field.size].ljust(field.size, "y")
        else:
            fields[field.name] = (1 << (8 * field.size)) - 1 - field.off
    raw = encode("itch", "out", letter, fields)
    assert judged(judge, raw)[1] == fields


def test_every_message_type_has_a_vector_and_both_judges():
    assert {chr(VECTORS[name].raw[0]) for name in VECTOR_IDS} == set(ITCH)
    for table in JUDGES.values():
        assert {kind.decode() for kind in table} >= set(ITCH)

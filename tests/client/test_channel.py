"""The channel file: what a participant learns from it, and what it is told when it is no good."""

import json

import pytest

from appliance.client.channel import ChannelError, load, parse

CONTENT = {
    "name": "demo", "day": 326, "ip": "10.0.0.1",
    "partitions": [{
        "partition": 1, "instance": 2, "order_port": 17001, "group_a": "239.1.1.1",
        "group_b": "239.1.2.1", "feed_port": 18000, "rerequest_ip": "10.0.0.1",
        "rerequest_port": 19001, "glimpse_port": 20001, "feed_session": "326F010002",
        "symbols": [{"name": "ACME", "locate": 1001, "tick_size": 100, "lot_size": 1},
                    {"name": "BTCUSD", "locate": 1002, "tick_size": 5, "lot_size": 10}],
        "sessions": {"ALICE": "326O010012"}}]}


def changed(**more):
    return CONTENT | {"partitions": [CONTENT["partitions"][0] | more]}


def test_what_it_says(tmp_path):
    (tmp_path / "channel.json").write_text(json.dumps(CONTENT))
    channel = load(tmp_path / "channel.json")
    assert (channel.name, channel.day, len(channel.partitions)) == ("demo", 326, 1)
    part = channel.partition_of("BTCUSD")
    assert part is channel.partitions[0]
    assert (part.number, part.instance, part.ip, part.order_port) == (1, 2, "10.0.0.1", 17001)
    assert (part.group_a, part.group_b, part.feed_port) == ("239.1.1.1", "239.1.2.1", 18000)
    assert (part.rerequest_ip, part.rerequest_port) == ("10.0.0.1", 19001)
    assert part.symbols == {"ACME": (1001, 100, 1), "BTCUSD": (1002, 5, 10)}
    assert (part.feed_session, part.sessions) == ("326F010002", {"ALICE": "326O010012"})


def test_a_symbol_of_no_partition_names_those_there_are():
    with pytest.raises(ChannelError, match="'NONE' is in no partition of demo; there are: ACME"):
        parse(CONTENT).partition_of("NONE")


@pytest.mark.parametrize(("text", "words"), [
    (None, "No such file or directory; the appliance writes it"),
    ("{", "is no JSON"), (b"\xff\xfe", "is no JSON"),
    (json.dumps({**CONTENT, "partitions": [{}]}), "the key 'partition' is missing"),
    (json.dumps({"name": "x"}), "the key 'day' is missing"),
    (json.dumps([]), "not laid out as a channel file"),
    (json.dumps(changed(symbols=3)), "not laid out as a channel file"),
    (json.dumps(changed(sessions=["a"])), "not laid out as a channel file"),
    (json.dumps(changed(symbols=[{"name": "ACME"}])), "the key 'locate' is missing"),
])
def test_what_is_wrong_is_said_with_the_files_name(tmp_path, text, words):
    path = tmp_path / "channel.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ChannelError) as raised:
        load(path)
    assert str(raised.value).startswith(f"channel file {path}") and words in str(raised.value)

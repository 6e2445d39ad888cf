"""Configuration files in, a Config or complaints out."""

import re
import tomllib
from pathlib import Path

import pytest

from appliance.config import load as loading
from appliance.config.load import load
from appliance.config.mistakes import ConfigError
from appliance.config.placement import shares

EXAMPLES = Path(loading.__file__).parent / "examples"
MAIN = """\
symbols_file = "symbols.toml"
accounts_file = "accounts.toml"

[interface]
name = "eth0"
ip = "10.0.0.1"
"""
SYMBOLS = '[[symbols]]\nname = "ACME"\nreference_price = 1250000\n'
ACCOUNTS = '[[accounts]]\nname = "ALICE"\npassword = "secret"\nsources = ["10.0.0.2"]\n'
HASH = "scrypt$14$8$1$" + "A" * 22 + "==$" + "A" * 43 + "="


@pytest.fixture
def files(tmp_path):
    """write(main, symbols, accounts) gives the main file's path."""
    def write(main=MAIN, symbols=SYMBOLS, accounts=ACCOUNTS):
        for name, text in (("main.toml", main), ("symbols.toml", symbols),
                           ("accounts.toml", accounts)):
            (tmp_path / name).write_text(text)
        return tmp_path / "main.toml"
    return write


def complaints(path):
    with pytest.raises(ConfigError) as caught:
        load(path)
    return caught.value.complaints


def only(path):
    found = complaints(path)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("key", ["symbols_file", "accounts_file", "runtime_dir"])
def test_path_with_control_characters_is_refused(files, key):
    main = re.sub(rf"{key} = .*\n", "", MAIN)
    found = complaints(files(main=f'{key} = "a\\u0000b"\n{main}'))
    assert any(f"{key} = " in text and "must be the path of a file" in text for text in found)


def test_smallest_config_gets_every_default(files):
    config = load(files())
    defaults = tomllib.loads(loading.DEFAULTS.read_text())
    assert config.interface.mode == "auto"
    assert config.orders.order_port_base == defaults["orders"]["order_port_base"]
    assert config.symbols[0].tick_size == defaults["symbol_defaults"]["tick_size"]
    assert config.accounts[0].max_pages == defaults["account_defaults"]["max_pages"]
    assert config.runtime_dir == "/dev/shm/wirematch"
    assert (config.symbols[0].collar, config.day.imbalance_every) == (0, 5)


def test_examples_are_good():
    config = load(EXAMPLES / "appliance.toml")
    assert [account.name for account in config.accounts] == ["ALICE", "BOB"]
    assert config.accounts[1].smp == "oldest" and config.accounts[0].smp == "off"
    assert config.accounts[0].sources == ["127.0.0.1"]


def test_every_default_has_a_paragraph():
    previous, bare = "", []
    for line in loading.DEFAULTS.read_text().splitlines():
        if re.match(r"\w+ = ", line) and not previous.startswith("#"):
            bare.append(line)
        if not re.match(r"\w+ = ", line):
            previous = line
    assert bare == []


def test_name_stands_in_runtime_dir(files):
    assert load(files('name = "desk"\n' + MAIN)).runtime_dir == "/dev/shm/desk"


def test_own_value_replaces_default_beside_it(files):
    config = load(files(MAIN + "[feed]\nttl = 7\n"))
    assert config.feed.ttl == 7 and config.feed.port == load(files()).feed.port


def test_unknown_key_names_file_line_and_nearest_key(files):
    path = files(MAIN + 'mod = "auto"\n')
    text = only(path)
    assert text.startswith(f"{path}:7: interface.mod: unknown key")
    assert 'did you mean "mode"?' in text and "known here: name, ip, mode, queue" in text


def test_word_outside_a_list_is_shown_with_the_list(files):
    text = only(files(MAIN + 'mode = "nativ"\n'))
    assert 'interface.mode = "nativ": must be one of "auto", "zero-copy", "native", ' in text
    assert 'did you mean "native"?' in text


@pytest.mark.parametrize("line, key, wanted", [
    ("[orders]\norder_port_base = 70000", "orders.order_port_base", "from 1 to 65535"),
    ('[orders]\norder_port_base = "26400"', "orders.order_port_base", "a whole number"),
    ("[orders]\ngap_hold_us = 1.5", "orders.gap_hold_us", "a whole number"),
    ("[partitions]\ncount = 33", "partitions.count", "a whole number from 1 to 32"),
    ('[partitions]\nlayout = "mine"', "partitions.layout", '"auto", "own", "shared"'),
    ('[day]\nopens = "24:00"', "day.opens", 'a time of day such as "08:00"'),
    ('[day]\nopens = "08:00"\ncloses = "08:00:00"', "day.closes", "not after day.opens"),
    ("[supervision]\nlate_ms = 500\nhang_ms = 500", "supervision.hang_ms", "late_ms = 500"),
    ("[cores]\nmatcher = [1, 2]", "cores.matcher", "2 CPUs for partitions.count = 1"),
    ('[durability]\nlevel = "paper"', "durability.level", '"none", "process", "disk"'),
    ('[durability]\nlevel = "replica+disk"', "durability.level", "second machine"),
    ('[durability]\nlevel = "disk"\ndirectory = "here"', "durability.directory", "absolute"),
    ('[capacity]\njournal = 4096\n[durability]\nlevel = "disk"', "capacity.journal", "16384"),
    ("[cores]\nmatcher = [-1]", "cores.matcher", "a CPU"),
    ('[metrics]\nlisten = "9464"', "metrics.listen", '"127.0.0.1:9464", or ""'),
    ('[metrics]\nlisten = "127.0.0.1:65536"', "metrics.listen", "highest port is 65535"),
    ('[metrics]\nlisten = "0.0.0.0:26400"', "metrics.listen", "orders.order_port_base takes"),
    ("[account_defaults]\ncancel_on_disconnect = 1", "account_defaults.cancel_on_disconnect",
     "true or false"),
    ("feed = 3", "interface.feed", "unknown key"),
])
def test_wrong_value_is_refused_with_what_is_allowed(files, line, key, wanted):
    text = " ".join(complaints(files(MAIN + line + "\n")))
    assert key in text and wanted in text


def test_table_given_as_a_number_is_refused(files):
    assert "feed = 3: must be a table" in " ".join(complaints(files("feed = 3\n" + MAIN)))


@pytest.mark.parametrize("key", ["symbols_file", "accounts_file"])
def test_missing_file_key_is_told(files, key):
    main = "".join(line + "\n" for line in MAIN.splitlines() if not line.startswith(key))
    assert f"{key}: missing" in only(files(main))


def test_file_that_is_not_there_is_told_with_its_key(files, tmp_path):
    path = files()
    (tmp_path / "symbols.toml").unlink()
    text = only(path)
    assert text.startswith(f"{path}:1: symbols_file:") and "No such file" in text


def test_broken_toml_is_told_with_its_place(files):
    text = only(files("name = \n"))
    assert "not valid TOML" in text and "line 1" in text


def test_all_mistakes_come_at_once(files):
    main = MAIN + ('mode = "nativ"\n[feed]\nport = 26400\ngroup_b = "239.192.64.1"\n[capacity]\n'
                   'journal = 65537\n[day]\ntime_zone = "Mars"\n')
    symbols = SYMBOLS + '[[symbols]]\nname = "ACME"\nreference_price = 150\n'
    accounts = ACCOUNTS + '[[accounts]]\nname = "alice"\npassword = "x y"\n'
    found = complaints(files(main, symbols, accounts))
    for part in ("interface.mode", "feed.port = 26400: its ports", "feed.group_b",
                 "capacity.journal = 65537: not a power of two; the nearest are 65536 and 131072",
                 "no such time zone", 'symbols[1].name = "ACME": stands already in symbols[0]',
                 "symbols[1].reference_price = 150: not a multiple of its tick_size 100",
                 'accounts[1].name = "alice": stands already in accounts[0]',
                 "accounts[1].password"):
        assert any(part in line for line in found), (part, found)
    assert len(found) == 9


def test_order_and_rerequest_ports_must_differ(files):
    text = only(files(MAIN + "[feed]\nrerequest_port_base = 26400\n"))
    assert "overlap with orders.order_port_base, which takes 26400-26400" in text


def test_order_and_snapshot_ports_are_both_tcp(files):
    text = only(files(MAIN + "[feed]\nglimpse_port_base = 26400\n"))
    assert "overlap with orders.order_port_base, which takes 26400-26400" in text


@pytest.mark.parametrize("lines, why", [
    ("[orders]\norder_port_base = 65530", "with 8 partitions it ends at 65537"),
    ("[orders]\norder_port_base = 26493", "ports 26500-26507 overlap with orders.order_port_base, "
     "which takes 26493-26500"),
    ("[feed]\nport = 26407", "overlap with orders.order_port_base, which takes 26400-26407"),
    ('[feed]\ngroup_b = "239.192.64.8"', 'overlaps with feed.group_a = "239.192.64.1"'),
    ('[feed]\ngroup_a = "239.255.255.250"', "not multicast"),
    ("[cores]\nmatcher = [0]", "1 CPUs for partitions.count = 8")])
def test_ranges_are_as_long_as_there_are_partitions(files, lines, why):
    assert why in only(files(MAIN + "[partitions]\ncount = 8\n" + lines + "\n"))


@pytest.mark.parametrize("queue, layout, good", [
    (1016, "own", True), (1017, "own", False), (1017, "shared", True), (1017, "auto", True)])
def test_queues_of_their_own_end_where_queues_end(files, queue, layout, good):
    path = files(MAIN + f'queue = {queue}\n[partitions]\ncount = 8\nlayout = "{layout}"\n')
    if good:
        assert load(path).interface.queue == queue
    else:
        assert "would end at queue 1024, the highest is 1023" in only(path)


@pytest.mark.parametrize("group, why", [("10.0.0.7", "not multicast"), ("224.0.0.5", "reserved")])
def test_feed_group_must_be_a_routable_group(files, group, why):
    assert why in only(files(MAIN + f'[feed]\ngroup_a = "{group}"\n'))


@pytest.mark.parametrize("lines, why", [
    ("payload = 511", "from 512 to 4054 (payload bytes of a packet)"),
    ("payload = 4055", "from 512 to 4054 (payload bytes of a packet)"),
    ('mode = "dpdk"\npayload = 1473', "frames of a DPDK device carry 1472 at most"),
    ('[feed]\ninterface_b = "eth0"', 'that is interface.name, by which B leaves anyhow; write ""'),
    ('[feed]\ninterface_b = "a/b"', 'the name of a network interface, or ""'),
])
def test_what_packets_and_feed_b_cannot_be(files, lines, why):
    assert why in only(files(MAIN + lines + "\n"))


def test_another_interface_for_feed_a_is_refused_with_what_to_do(files):
    text = only(files(MAIN + '[feed]\ninterface = "eth1"\n'))
    assert 'feed.interface = "eth1"' in text and 'interface.name = "eth0"' in text
    assert 'write "" here, and name the other interface as feed.interface_b' in text
    assert load(files(MAIN + '[feed]\ninterface = "eth0"\n')).feed.interface == "eth0"


def test_payload_and_interface_of_b_by_default_and_as_told(files):
    config = load(files(MAIN))
    assert (config.interface.payload, config.feed.interface_b) == (1472, "")
    config = load(files(MAIN + 'payload = 4054\n[feed]\ninterface_b = "eth1"\n'))
    assert (config.interface.payload, config.feed.interface_b) == (4054, "eth1")


@pytest.mark.parametrize("symbol, why", [
    ('name = "TOOLONGNAME"\nreference_price = 100', "1 to 8 printable"),
    ('name = "X"\nreference_price = 0', "from 1 to"),
    ('name = "X"\nreference_price = 100\ntick_size = 0', "from 1 to"),
    ('name = "X"\nreference_price = 100\ntick = 5', 'did you mean "tick_size"?'),
    ('name = "X"\nreference_price = 100\npartition = 1', "partitions.count is 1"),
    ('name = "X"\nreference_price = 100\ncollar = -1', "from 0 to 100000000 (ticks)"),
    ('name = "X"\nreference_price = 100\ncollar = 100000001', "from 0 to 100000000 (ticks)"),
    ("reference_price = 100", "symbols[0].name: missing"),
])
def test_symbol_that_makes_no_sense(files, symbol, why):
    text = " ".join(complaints(files(symbols=f"[[symbols]]\n{symbol}\n")))
    assert why in text


@pytest.mark.parametrize("account, why", [
    ('name = "TOOLONG"\npassword = "x"', "1 to 6 letters or digits"),
    ('name = "A"\npassword = "12345678901"', "1 to 10 printable"),
    ('name = "A"\npassword = "x"\nsources = ["10.0.0.300"]', "an IPv4 address"),
    ('name = "A"\npassword = "x"\nsources = ["10.0.0.3", "10.0.0.3"]', "stands there twice"),
    ('name = "A"\npassword = "x"\nsources = ["0.1.2.3"]', "nobody's address"),
    ('name = "A"\npassword = "x"\nsources = ["224.0.0.1"]', "nobody's address"),
    ('name = "A"\npassword = "x"\nsources = ["255.255.255.255"]', "nobody's address"),
    ('name = "A"\npassword = "x"\nmax_pages = 5000', "leaves 4095 at most"),
    ('name = "A"', "exactly one of password and password_hash, not none"),
    (f'name = "A"\npassword = "x"\npassword_hash = "{HASH}"', "not both"),
    (f'name = "A"\npassword_hash = "{HASH[:-2]}"', 'that "wirematch account hash" printed'),
    ('name = "A"\npassword = "x"\nsmp = "both"', 'one of "off", "oldest", "newest", "decrement"'),
    ('name = "A"\npassword = "x"\norders_burst = 5', "orders_per_second is 0, no throttle"),
    ('name = "A"\npassword = "x"\nthrottle_refusals = 5', "orders_per_second is 0, no throttle"),
    ('name = "A"\npassword = "x"\norders_per_second = 2000000', "from 0 to 1000000"),
    ('name = "A"\npassword = "x"\ndisconnect_grace_ms = 5', "cancel_on_disconnect = false"),
])
def test_account_that_makes_no_sense(files, account, why):
    assert why in " ".join(complaints(files(accounts=f"[[accounts]]\n{account}\n")))


@pytest.mark.parametrize("copy, why", [
    ('name = "ALICE"\npassword = "x"\nfirm = "ONE"', "stands already in accounts[0]"),
    ('name = "D"\npassword = "x"\nfirm = "TWO"', "no account has this firm; there are \"ONE\""),
    ('name = "D"\nfirm = "ONE"', "exactly one of password and password_hash, not none"),
    ('name = "D"\npassword = "x"\nfirm = ""', "1 to 4 letters or digits"),
    ('name = "D"\npassword = "x"\nfirm = "ONE"\nsmp = "off"', "unknown key"),
    ('name = "D"\npassword = "x"\nfirm = "ONE"\n[[drop_copies]]\nname = "d"\npassword = "x"\n'
     'firm = "ONE"', "stands already in drop_copies[0]"),
])
def test_drop_copy_that_makes_no_sense(files, copy, why):
    account = '[[accounts]]\nname = "ALICE"\npassword = "x"\nfirm = "ONE"\n'
    assert why in " ".join(complaints(files(accounts=f"{account}[[drop_copies]]\n{copy}\n")))


def test_drop_copies_have_the_defaults_sources_and_limits_go_with_the_account(files):
    found = load(files(MAIN + '[account_defaults]\nsources = ["10.0.0.9"]\norders_per_second = 7\n',
                       accounts='[[accounts]]\nname = "A"\npassword = "x"\nfirm = "ONE"\n'
                                '[[drop_copies]]\nname = "D"\npassword = "x"\nfirm = "ONE"\n'))
    assert found.drop_copies[0].sources == ["10.0.0.9"] and found.drop_copies[0].firm == "ONE"
    assert (found.accounts[0].orders_per_second, found.accounts[0].throttle_refusals) == (7, 0)


def test_no_symbols_and_no_accounts(files):
    found = " ".join(complaints(files(symbols="", accounts="")))
    assert "symbols: there is none" in found and "accounts: there is none" in found


def test_one_file_may_hold_symbols_and_accounts(files, tmp_path):
    path = files(MAIN.replace("accounts.toml", "symbols.toml"), SYMBOLS + ACCOUNTS)
    assert load(path).accounts[0].name == "ALICE"


def test_digest_follows_every_value(files):
    first = load(files()).digest
    assert load(files()).digest == first
    assert load(files(MAIN + "[feed]\nttl = 2\n")).digest != first
    assert load(files(accounts=ACCOUNTS.replace("secret", "secreT"))).digest != first


def test_readable_passwords_and_missing_sources_are_warned_of(files, tmp_path):
    path = files(accounts='[[accounts]]\nname = "A"\npassword = "x"\n')
    (tmp_path / "accounts.toml").chmod(0o644)
    texts = " ".join(loading.warnings(load(path)))
    assert "everyone may read the passwords" in texts and "account A: no sources" in texts
    (tmp_path / "accounts.toml").chmod(0o640)
    assert "everyone" not in " ".join(loading.warnings(load(path)))


def test_plain_passwords_are_warned_of_and_hashes_are_not(files, tmp_path):
    path = files()
    (tmp_path / "accounts.toml").chmod(0o600)
    text, = loading.warnings(load(path))
    assert "plain passwords of ALICE; replace them" in text and "account protect" in text
    hashed = ACCOUNTS.replace('password = "secret"', f'password_hash = "{HASH}"')
    config = load(files(accounts=hashed))
    assert loading.warnings(config) == []
    assert (config.accounts[0].password, config.accounts[0].password_hash) == (None, HASH)


def many(count, partition=""):
    return "".join(f'[[symbols]]\nname = "S{i}"\nreference_price = 100\n{partition}'
                   for i in range(count))


def test_symbols_are_counted_a_partition_as_they_are_placed(files):
    main = MAIN + "[partitions]\ncount = 2\n"
    config = load(files(main, many(1500)))
    owned = shares(config.symbols, 2)
    assert sum(map(len, owned)) == 1500 and max(map(len, owned)) <= 1000
    text = only(files(main, many(1001, "partition = 1\n")))
    assert "partition 1 would own 1001 symbols; a partition holds 1000 at most" in text
    assert "partition 0 would own 1001" in only(files(symbols=many(1001)))


def test_partition_without_symbols_is_a_warning(files, tmp_path):
    path = files(MAIN + "[partitions]\ncount = 2\n", SYMBOLS + "partition = 1\n")
    texts = loading.warnings(load(path))
    assert any(text.startswith("partition 0: owns no symbol") for text in texts)
    assert not any(text.startswith("partition 1") for text in texts)


def test_cpus_may_be_named_for_every_partition(files):
    main = MAIN + "[partitions]\ncount = 2\n[cores]\nmatcher = [1, 1]\n"
    assert load(files(main)).cores.matcher == [1, 1]

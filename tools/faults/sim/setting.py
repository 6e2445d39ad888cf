"""The appliance that is simulated: its configuration, small enough to be made anew every time."""

import functools
import tempfile
from pathlib import Path

import msgspec

from appliance.config.load import load
from appliance.control.secrets import Checker

PEOPLE = (("ALPHA", "off", "true"), ("BETA", "oldest", "false"), ("GAMMA", "decrement", "false"),
          ("DELTA", "newest", "true"))
_MAIN = """name = "simulated"
runtime_dir = "/simulated"
symbols_file = "symbols.toml"
accounts_file = "accounts.toml"
[interface]
name = "lo"
ip = "10.9.0.1"
mode = "socket"
[orders]
silence_ms = 5000
[capacity]
pages = 24
lg_ladder = 12
far_cap = 1024
far_levels = 4096
chunks = 24
feed_bytes = 1048576
feed_messages = 16384
journal = 16384
holds = 64
link_depth = 64
[durability]
level = "disk"
directory = "/disk"
segment_mb = 1
"""


@functools.cache
def config_of(level):
    """The appliance's configuration at a durability level."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "main.toml").write_text(_MAIN)
        (folder / "symbols.toml").write_text(
            '[[symbols]]\nname = "ACME"\ntick_size = 100\nlot_size = 1\n'
            'reference_price = 100000\n')
        (folder / "accounts.toml").write_text("".join(
            f'[[accounts]]\nname = "{name}"\npassword = "secret"\nsmp = "{smp}"\n'
            f'sources = ["10.9.1.{n}"]\ncancel_on_disconnect = {cancels}\n'
            for n, (name, smp, cancels) in enumerate(PEOPLE, 1)))
        config = load(folder / "main.toml")
    return msgspec.structs.replace(
        config, durability=msgspec.structs.replace(config.durability, level=level))


@functools.cache
def checker():
    """Judges passwords."""
    return Checker(config_of("disk").accounts)

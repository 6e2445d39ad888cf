"""`wirematch demo ARGUMENTS` with a latency pass of one second and the answers kept in FILE.

    python -m tests.end_to_end.play FILE [ARGUMENTS of wirematch demo]

FILE gets {"streams": [[OUCH message as hex]] by account, "feed": [ITCH message as hex]}. Nothing
else differs from the command.
"""

import importlib
import json
import sys
from pathlib import Path

from appliance import cli

command = importlib.import_module("tools.demo.command")     # the package has a command of that name


class Kept(command.Course):
    """A demo that writes down what it heard before it sums it up."""

    kept = None

    def judge(self):
        super().judge()
        self.kept.write_text(json.dumps({
            "streams": [[message.hex() for message in stream] for stream in self.streams],
            "feed": [message.hex() for message in self.feed]}))


if __name__ == "__main__":
    Kept.kept = Path(sys.argv[1])
    command.Course, command.PACE_SECONDS = Kept, 1
    cli.main(["demo", *sys.argv[2:]])

"""SIGTERM with a journal on disk: what was taken is answered, though its answers still waited."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from appliance.journal.scan import read
from appliance.layout import record
from tests.end_to_end.place import PRICE, SYMBOL, Place
from tests.netns import needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.slow]
ORDERS = 40


def test_every_order_that_was_taken_is_answered_before_the_end(warm, tmp_path):
    extra = f'[durability]\nlevel = "disk"\ndirectory = "{tmp_path}"\nsegment_mb = 2\n'
    with Place("socket", extra=extra) as place:
        buyer = place.login(0)
        assert buyer.wait(buyer.enter("B", 1, SYMBOL, PRICE - 5_000))[-1].letter == "A"
        journal = place.pid("journal@0")
        os.kill(journal, signal.SIGSTOP)                 # a disk that stands: answers wait
        for _ in range(ORDERS):
            buyer.enter("B", 1, SYMBOL, PRICE - 5_000)
        time.sleep(0.1)
        assert not buyer.poll(0.05)
        place.house.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        os.kill(journal, signal.SIGCONT)
        answers = []
        while place.house.process.poll() is None:
            answers += buyer.poll(0.05)
        answers += buyer.poll(0.3)
        assert place.stop() == 0, place.house.words()
        folder, = (path for path in Path(tmp_path).glob("*/p0"))
        kept = np.concatenate([block.copy() for block in read(folder)])
        kinds = np.ascontiguousarray(kept["command"]).view(record.COMMAND.dtype).ravel()["kind"]
        entered = int((kinds == record.ENTER).sum())
        assert 1 < entered <= ORDERS + 1
        assert sum(answer.letter == "A" for answer in answers) == entered - 1

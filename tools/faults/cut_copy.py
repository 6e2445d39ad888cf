"""A cut disk that is judged without an appliance: what the journal on it says, once recovered.

    copy = Copy(image, heard)              as the disk was while every process stood still
    copy.judge(life)                       what there was; Lost

The code is what an appliance starts with: journal@p opens the folder (cutting, repairing, deciding
about the names), the matcher makes its core from the newest snapshot and what lies behind it. The
copy carries another boot's id than this machine's, as after a power cut.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from appliance import topology
from appliance.config import load
from appliance.journal.recover import resume
from appliance.journal.scan import scan
from appliance.journal.snapshot import feed_pieces
from appliance.stages.journal import open_journal
from tools.faults import cut_disk
from tools.faults.killer_judge import messages_in, stream_of


class Lost(Exception):
    """Something that was heard before a cut is not, or not the same, after it."""


@dataclass
class Copy:
    """`image`: of the disk; `heard`: (messages of the feed, of each account's stream) until then.
    """

    image: Path
    heard: tuple

    def judge(self, life) -> dict:
        """Recovers it. Everything heard until then must be there, and nothing that has been heard
        since may be another message under its number. {"unheard", "cut_bytes"}; Lost."""
        with cut_disk.Disk(life.scene.folder, life.disk_mb, self.image) as disk:
            (date,) = filter(str.isdigit, os.listdir(disk.folder / "journal"))
            folder = disk.folder / "journal" / date / "p0"
            found = scan(str(folder), bytes(16))
            if found.clean:
                raise Lost("the journal says that it was closed well")
            core = self._recover(life, disk, folder, found)
            said = [messages_in(feed_pieces(core.feed, 1)[3:]),
                    *(stream_of(core, n) for n in range(len(life.streams)))]
        unheard = 0
        for what, had, now, later in zip(("the feed", *(
                f"the stream of account {n}" for n in range(len(life.streams)))), self.heard, said,
                (life.feed, *life.streams), strict=True):
            if len(now) < had:
                raise Lost(f"{what}: {had} messages were heard before the cut, only {len(now)} "
                           "are there")
            for number, (old, new) in enumerate(zip(later, now, strict=False), 1):
                if old != new:
                    raise Lost(f"{what}: message {number} was heard as {old.hex()}, the copy says "
                               f"{new.hex()}")
            unheard += len(now) - had
        return {"unheard": unheard, "cut_bytes": found.cut_bytes}

    @staticmethod
    def _recover(life, disk, folder, found):
        path = life.scene.folder / "copy.toml"
        path.write_text(Path(life.config).read_text().replace(str(life.disk.folder),
                                                               str(disk.folder)))
        path.chmod(0o600)
        table = topology.build(load.load(path), instance=0)
        writer = open_journal(table, table.partitions[0], found.genesis["midnight_ns"])
        instance, last_seq = writer.instance, writer.next_seq - 1
        writer.close(clean=False)
        if instance != found.instance:
            raise Lost(f"the names go on as instance {instance}, they were {found.instance}'s")
        return resume(str(folder), last_seq).core

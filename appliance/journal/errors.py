"""What goes wrong with a journal, each with where, why and what to do."""

import os


class JournalError(Exception):
    """Any of the below."""


class JournalFailed(JournalError):
    """A system call on the journal failed, or its folder is not what it should be. It is final."""

    def __init__(self, what, path, why, remedy):
        super().__init__(f"{what} {path}: {why}; {remedy}")
        self.what, self.path, self.why, self.remedy = what, str(path), why, remedy


class JournalFull(JournalError):
    """There is no room for another segment. Nothing is broken: try again when there is."""

    def __init__(self, path, sz, why):
        super().__init__(f"no room for a segment of {sz} bytes at {path}: {why}; make room, or "
                         "give the journal a disk of its own")
        self.path, self.sz, self.why = str(path), sz, why


class Corrupt(JournalError):
    """Bytes that were safe on the disk are not what they were; nobody may trade on from here."""

    def __init__(self, path, offset, seq, why):
        super().__init__(f"{path}, offset {offset}, sequence {seq}: {why}; the journal is corrupt "
                         "here: restore the file from a copy, nothing was changed")
        self.path, self.offset, self.seq, self.why = str(path), offset, seq, why


def failed(what, path, error: OSError, remedy) -> JournalFailed:
    """JournalFailed of an OSError."""
    return JournalFailed(what, path, os.strerror(error.errno) if error.errno else str(error),
                         remedy)

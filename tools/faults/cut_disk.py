"""A disk whose power can be cut: an ext4 file system in an image file, behind a loop device.

A copy of the image has what the disk had at that moment; what only the page cache had is not in it.
`boot_file` is another boot's id, to stand in the place of the kernel's for who starts from a copy.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

PATIENCE_S = 20.0
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def why_not(folder) -> str:
    """Why no image can be mounted here, or an empty string."""
    try:
        with Disk(Path(folder), 8):
            return ""
    except RuntimeError as problem:
        return f"loop devices do not work here: {problem}"


class Disk:
    """A mounted file system of `size_mb`, new or from a copy of another; `folder` is its root."""

    made = 0

    def __init__(self, place: Path, size_mb: int, copy: Path | None = None):
        Disk.made += 1
        self.image, self.folder = place / f"disk{Disk.made}.img", place / f"disk{Disk.made}"
        self.folder.mkdir()
        if copy is None:
            with open(self.image, "wb") as file:
                file.truncate(size_mb << 20)
            _do("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", str(self.image))
        else:
            os.rename(copy, self.image)
        _do("mount", "-o", "loop", str(self.image), str(self.folder))

    def copy(self) -> Path:
        """The image as it is now, holes kept."""
        made = self.image.with_suffix(".cut")
        _do("cp", "--sparse=always", str(self.image), str(made))
        return made

    def close(self) -> None:
        """Unmounts it and removes all."""
        deadline = time.monotonic() + PATIENCE_S
        while subprocess.run(["umount", str(self.folder)], capture_output=True).returncode:
            if time.monotonic() > deadline:            # somebody who was killed is not gone yet
                subprocess.run(["umount", "-l", str(self.folder)], capture_output=True)
                break
            time.sleep(0.02)
        self.image.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.close()


def _do(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


def boot_file(folder: Path) -> Path:
    """A file with an id of no boot there ever was."""
    path = folder / f"boot-{uuid.uuid4()}"
    path.write_text(f"{uuid.uuid4()}\n")
    return path


def under_boot(path: Path, command: list) -> list:
    """The command line that runs `command` where the kernel's boot id is the one in `path`."""
    return ["unshare", "--mount", "sh", "-c", f'mount --bind "$0" {_BOOT_ID} && exec "$@"',
            str(path), *command]


def family(pid: int) -> list[int]:
    """A process and everything that descends from it."""
    found = [pid]
    for each in found:
        try:
            for task in os.listdir(f"/proc/{each}/task"):
                found += map(int, Path(f"/proc/{each}/task/{task}/children").read_text().split())
        except OSError:
            continue                                   # it has just ended
    return found


def stop_all(pid: int) -> list[int]:
    """Halts a whole family; its members, once all stand still."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        members = family(pid)
        for each in members:
            try:
                os.kill(each, signal.SIGSTOP)
            except ProcessLookupError:
                continue
        if all(_state(each) in "TtZX" for each in family(pid)):
            return members
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all of {members} stand still")
        time.sleep(0.001)


def go_on(members) -> None:
    """What stood still goes on."""
    for each in reversed(members):                     # who looks after others goes on last
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGCONT)


def kill_all(members) -> None:
    """Kills them, and waits until they are gone."""
    for each in members:
        try:
            os.kill(each, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + PATIENCE_S
    while any(_state(each) not in "ZX" for each in members):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all of {members} are gone")
        time.sleep(0.002)


def _state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"

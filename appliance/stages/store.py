"""Descriptors that outlive portd: each is kept by name here and by the parent."""

import os

from appliance import notify


class Store:
    """name -> descriptor. `kept` is what the parent gave back; put and drop tell it at once."""

    def __init__(self, kept: dict[str, int] | None = None):
        self.fds = dict(kept or {})

    def __contains__(self, name):
        return name in self.fds

    def put(self, name: str, fd: int) -> int:
        """Keeps a descriptor under a name, which must be free; the descriptor."""
        self.drop(name)
        self.fds[name] = fd
        notify.keep(name, fd)
        return fd

    def get(self, name: str) -> int:
        """The descriptor of that name."""
        return self.fds[name]

    def drop(self, name: str) -> None:
        """Closes the descriptor, here and at the parent; nothing when there is none."""
        fd = self.fds.pop(name, -1)
        if fd >= 0:
            notify.forget(name)
            os.close(fd)

    def drop_all(self) -> None:
        """Closes everything that is kept."""
        for name in list(self.fds):
            self.drop(name)

    def write(self, name: str, text: str) -> None:
        """Keeps a short text, as a memory file."""
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
        os.write(fd, text.encode())
        self.put(name, fd)

    def read(self, name: str) -> str | None:
        """The text kept under a name, None when there is none."""
        if name not in self.fds:
            return None
        return os.pread(self.fds[name], 65536, 0).decode()

"""Wirematch: a Linux server as an exchange's matching appliance.

Rooms, each importing only from those to its left:

    layout  bytes, declared once            native  the C functions, bound by cffi
    hot     compiled kernels                shm, host, notify  the machine
    config  TOML to a frozen Config         topology  the one table of blocks and ports
    stages  one file a process              control  supervises, never on the packet's way

Beside them: client (what a participant imports) and cli (the command).
Start reading at ARCHITECTURE.md, then layout/record.py, then hot/burst.py.
"""

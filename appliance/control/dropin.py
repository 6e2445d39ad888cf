"""What a configuration needs of systemd beyond wirematch.service: `wirematch drop-in`.

The unit is made for most machines: all CPUs that systemd may use, journals in /var/lib/wirematch,
shared memory in /dev/shm, no devices. Isolated cores, other folders and DPDK need to be said.
"""

import os
from pathlib import Path

from ..host import cores

OPEN = ("/dev/shm", "/var/lib/wirematch")          # what the unit lets be written
DPDK = ("PrivateDevices=no", "DevicePolicy=closed", "DeviceAllow=char-vfio rw",
        "DeviceAllow=/dev/hugepages rw", "RestrictNamespaces=no",
        "SystemCallFilter=@raw-io", "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_RAWIO")


def describe(config, available=None, isolated: str | None = None) -> str:
    """The drop-in's text. available: CPUs of this process; isolated: those the kernel keeps free of
    everybody else, in its list form."""
    cpus = sorted(os.sched_getaffinity(0) if available is None else available)
    apart = cores.parse_list(_isolated() if isolated is None else isolated)
    wanted = sorted({*cpus, *apart, *config.cores.matcher})
    lines = [f"# For {config.path}, printed by: wirematch drop-in", "[Service]",
             f"CPUAffinity={' '.join(map(str, wanted))}"]
    for folder in (config.runtime_dir, config.durability.directory):
        if not any(Path(folder).is_relative_to(known) for known in OPEN):
            lines.append(f"ReadWritePaths={'-' if folder == config.runtime_dir else ''}"
                         f"{_above(folder, config)}")
    if config.interface.mode == "dpdk":
        lines += DPDK
    return "\n".join(lines) + "\n"


def _above(folder, config):
    """The runtime folder is made at start and removed at the end: where it is made."""
    return str(Path(folder).parent) if folder == config.runtime_dir else folder


def _isolated():
    try:
        return Path("/sys/devices/system/cpu/isolated").read_text().strip()
    except OSError:
        return ""

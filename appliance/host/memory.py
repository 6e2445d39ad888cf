"""Stages of `configure` about memory: huge pages, locking, rights for BPF, kernel settings."""

from .machine import GOOD, NONE, WRONG, Change, Item, Machine, Wants, of_file

HUGE = "/sys/kernel/mm/hugepages/hugepages-2048kB"
SOCKET_BYTES = 1 << 25           # what nic.order_socket asks for


def hugepages(machine: Machine, wants: Wants) -> list[Item]:
    """Free pages of 2 MiB for the UMEM."""
    cost = "frames in pages of 4 KiB: more TLB misses, some percent of the packet's way"
    total, free = (machine.read(f"{HUGE}/{name}") for name in ("nr_hugepages", "free_hugepages"))
    if not wants.huge_pages:
        return [Item("hugepages", "2 MiB pages", free or "0", "0 (none are used)", NONE, cost)]
    if total is None or free is None:
        return [Item("hugepages", "2 MiB pages", "not on this machine", f"{wants.huge_pages} free",
                     WRONG if wants.huge_needed else NONE, cost, required=wants.huge_needed)]
    more = max(0, wants.huge_pages - int(free))
    new = str(int(total) + more)
    return [Item("hugepages", "2 MiB pages", f"{free} free of {total}",
                 f"{wants.huge_pages} free", WRONG if more else GOOD, cost,
                 f"echo {new} > {HUGE}/nr_hugepages", wants.huge_needed,
                 Change(f"{HUGE}/nr_hugepages", total, new))]


def memlock(machine: Machine, wants: Wants) -> list[Item]:
    """How much this process may lock."""
    limit = machine.lock_limit()
    needed = wants.memory if wants.uses_xdp else 0
    good = limit < 0 or limit >= needed
    return [Item("memlock", "locked memory", "unlimited" if limit < 0 else f"{limit >> 10} KiB",
                 f"at least {needed >> 10} KiB", GOOD if good else WRONG,
                 "the UMEM of an AF_XDP socket is refused (ENOBUFS)",
                 "ulimit -l unlimited   (a unit: LimitMEMLOCK=infinity)", wants.needs_xdp)]


def bpf(machine: Machine, wants: Wants) -> list[Item]:
    """Rights of this process to load the steering program, and the kernel's JIT for it."""
    rows = []
    for name, purpose in (("CAP_BPF", "loading the steering program"),
                          ("CAP_NET_ADMIN", "attaching it to the interface"),
                          ("CAP_NET_RAW", "making AF_XDP sockets")):
        has = machine.has(name) or name == "CAP_BPF" and machine.has("CAP_SYS_ADMIN")
        state = GOOD if has else WRONG
        rows.append(Item("bpf", name, "yes" if has else "no",
                         "yes" if wants.uses_xdp else "not needed",
                         state if wants.uses_xdp else NONE,
                         f"{purpose} fails: only mode = \"socket\" works",
                         f"run as root, or under systemd: AmbientCapabilities={name}",
                         wants.needs_xdp))
    jit = "/proc/sys/net/core/bpf_jit_enable"
    rows.append(of_file("bpf", "BPF JIT", jit, machine, "1",
                        "the steering program is interpreted, several times slower a frame",
                        accepts=lambda value: value in ("1", "2")))
    return rows


def sysctls(machine: Machine, wants: Wants) -> list[Item]:
    """Kernel settings that cost the matcher its time."""
    kernel, core = "/proc/sys/kernel", "/proc/sys/net/core"
    nodes = [name for name in machine.names("/sys/devices/system/node")
             if name.removeprefix("node").isdigit()]
    rows = [
        of_file("sysctls", "kernel.numa_balancing", f"{kernel}/numa_balancing", machine, "0",
                "pages are unmapped to see who uses them: faults in the matcher",
                accepts=lambda value: value == "0" or len(nodes) < 2),
        of_file("sysctls", "kernel.nmi_watchdog", f"{kernel}/nmi_watchdog", machine, "0",
                "an interrupt a second on every core"),
        of_file("sysctls", "transparent huge pages", "/sys/kernel/mm/transparent_hugepage/enabled",
                machine, "madvise", "memory is compacted and copied behind the matcher's back",
                accepts=lambda value: value in ("madvise", "never")),
        _at_least(machine, "net.core.rmem_max", f"{core}/rmem_max"),
        _at_least(machine, "net.core.wmem_max", f"{core}/wmem_max"),
        _busy_poll(machine, wants, f"{core}/busy_poll"),
        _swap(machine)]
    if wants.realtime:
        rows.append(of_file(
            "sysctls", "kernel.sched_rt_runtime_us", f"{kernel}/sched_rt_runtime_us", machine,
            "-1", "the kernel stops a spinning real-time matcher for 50 ms of each second"))
    return rows


def _at_least(machine, name, path):
    return of_file("sysctls", name, path, machine, str(SOCKET_BYTES),
                   "without CAP_NET_ADMIN sockets get small buffers: bursts are dropped",
                   accepts=lambda value: value.isdigit() and int(value) >= SOCKET_BYTES)


def _busy_poll(machine, wants, path):
    item = of_file("sysctls", "net.core.busy_poll", path, machine, "0",
                   "poll(2) of every process on this machine spins in the driver, and takes the "
                   "CPU from a matcher that shares it")
    return item if not wants.spins else Item(
        "sysctls", item.name, item.found, "any", NONE if item.state == WRONG else item.state,
        item.cost)


def _swap(machine):
    rows = (machine.read("/proc/swaps") or "").splitlines()[1:]
    names = ", ".join(row.split()[0] for row in rows)
    return Item("sysctls", "swap", names or "none", "none", WRONG if names else GOOD,
                "a page of the book that was swapped out costs a disk's time",
                "swapoff -a" if names else "")

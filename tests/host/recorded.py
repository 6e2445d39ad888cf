"""A recorded machine below a folder: two cores, a card with eight queues, deep sleep states."""

import json

from appliance.host.machine import Wants

CPU = "sys/devices/system/cpu"
FILES = {
    "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "10",
    "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "4",
    f"{CPU}/isolated": "", f"{CPU}/nohz_full": "(null)",
    f"{CPU}/cpu1/cpufreq/scaling_governor": "powersave",
    f"{CPU}/cpu1/cpuidle/state1/latency": "2", f"{CPU}/cpu1/cpuidle/state1/disable": "0",
    f"{CPU}/cpu1/cpuidle/state1/name": "C1",
    f"{CPU}/cpu1/cpuidle/state3/latency": "133", f"{CPU}/cpu1/cpuidle/state3/disable": "0",
    f"{CPU}/cpu1/cpuidle/state3/name": "C6",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet",
    "sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm",
    "sys/class/net/eth7/device/msi_irqs/41": "", "sys/class/net/eth7/device/msi_irqs/42": "",
    "proc/irq/41/smp_affinity_list": "0", "proc/irq/42/smp_affinity_list": "0-1",
    "proc/sys/kernel/numa_balancing": "1", "sys/devices/system/node/node0/x": "",
    "sys/devices/system/node/node1/x": "", "proc/sys/kernel/nmi_watchdog": "1",
    "proc/sys/kernel/sched_rt_runtime_us": "950000",
    "proc/sys/net/core/rmem_max": "212992", "proc/sys/net/core/wmem_max": "67108864",
    "proc/sys/net/core/busy_poll": "50", "proc/sys/net/core/bpf_jit_enable": "0",
    "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never",
    "proc/swaps": "Filename Type Size Used Priority\n/dev/sda2 partition 100 0 -2",
    "proc/self/status": "Name:\tx\nCapEff:\t0000000000002000",
    "proc/self/limits": "Max locked memory 8388608 8388608 bytes",
    "commands/adjtimex": json.dumps({"synchronised": True, "offset_us": -3.0,
                                     "maxerror_us": 2_000_000, "tai": 37}),
    "commands/chronyc -c tracking": "C0A80101,ptp0,0,1.0,0.0000021,1,1,1,1,1,1,1,1,Normal",
    "commands/ethtool -i eth7": "driver: ice\nversion: 6.1",
    "commands/ethtool -l eth7": "Channel parameters for eth7:\nPre-set maximums:\nRX:\t\t0\n"
    "Combined:\t8\nCurrent hardware settings:\nRX:\t\t0\nCombined:\t1",
    "commands/ethtool -g eth7": "Ring parameters for eth7:\nPre-set maximums:\nRX:\t\t8160\n"
    "TX:\t\t8160\nCurrent hardware settings:\nRX:\t\t512\nTX:\t\t512",
    "commands/ethtool -k eth7": "Features for eth7:\ntcp-segmentation-offload: on\n"
    "\ttx-tcp-segmentation: on\ngeneric-receive-offload: on\nlarge-receive-offload: off [fixed]\n"
    "rx-vlan-offload: on\nntuple-filters: off",
    "commands/ethtool -T eth7": "Capabilities:\n\thardware-transmit\n\thardware-receive",
    "commands/xdp-features eth7": "0x3"}


def wants(**more) -> Wants:
    """Two partitions on CPU 1, everything else on CPU 0."""
    values = {"interface": "eth7", "interface_b": "", "mode": "native", "queues": 2,
              "frames": 4096, "steering": True, "matchers": (1,), "rest": (0,), "spins": True,
              "realtime": 50, "huge_pages": 16, "huge_needed": False, "memory": 32 << 20}
    return Wants(**values | more)


def record(folder, **changed):
    """Writes the files; changed: {path: text or None}."""
    for name, text in (FILES | changed).items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text + "\n")
    return folder

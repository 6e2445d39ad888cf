"""`configure` on a recorded machine, and on veths in a namespace of this one."""

import json
import os
import subprocess

import pytest

from appliance.host import card, configure, nic
from appliance.host.machine import GOOD, NONE, UNSEEN, WRONG, Machine, MachineError
from tests.host.recorded import record, wants
from tests.netns import Namespace, needs_namespaces

HUGE = "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"


def found(folder, **more):
    return {(item.stage, item.name): item
            for item in configure.look(Machine(folder), wants(**more))}


EXPECTED = [
    ("hugepages", "2 MiB pages", "4 free of 10", "echo 22 > /" + HUGE),
    ("queues", "eth7", "1 of 8", "ethtool -L eth7 combined 2"),
    ("rings", "eth7 receive", "512 of 8160", "ethtool -G eth7 rx 4096"),
    ("offloads", "eth7 gro", "on", "ethtool -K eth7 gro off"),
    ("offloads", "eth7 tso", "on", "ethtool -K eth7 tso off"),
    ("offloads", "eth7 rxvlan", "on", "ethtool -K eth7 rxvlan off"),
    ("steering", "eth7 ntuple", "off", "ethtool -K eth7 ntuple on"),
    ("irq", "eth7 interrupt 42", "CPU 0-1", "echo 0 > /proc/irq/42/smp_affinity_list"),
    ("isolated", "isolcpus", "none", "kernel command line: isolcpus=managed_irq,domain,1 "
     "nohz_full=1 rcu_nocbs=1; then boot"),
    ("isolated", "nohz_full", "null", None),
    ("governor", "CPU 1", "powersave", "echo performance > "
     "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor"),
    ("cstates", "CPU 1 C6", "on, 133 us to leave",
     "echo 1 > /sys/devices/system/cpu/cpu1/cpuidle/state3/disable"),
    ("clock", "clock source", "hpet", None),
    ("clock", "offset from UTC", "-3 us, at most 2000000 us wrong", None),
    ("clock", "chrony", "reference ptp0, stratum 0, +2 us", None),
    ("memlock", "locked memory", "8192 KiB", None),
    ("bpf", "CAP_BPF", "no", None), ("bpf", "CAP_NET_ADMIN", "no", None),
    ("bpf", "BPF JIT", "0", "echo 1 > /proc/sys/net/core/bpf_jit_enable"),
    ("sysctls", "kernel.numa_balancing", "1", None),
    ("sysctls", "kernel.nmi_watchdog", "1", None),
    ("sysctls", "transparent huge pages", "always",
     "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"),
    ("sysctls", "net.core.rmem_max", "212992", None),
    ("sysctls", "swap", "/dev/sda2", "swapoff -a"),
    ("sysctls", "kernel.sched_rt_runtime_us", "950000",
     "echo -1 > /proc/sys/kernel/sched_rt_runtime_us"),
    ("nic", "eth7 zero copy", "driver ice: no", None)]


def test_everything_wrong_is_found_with_its_command_and_nothing_else(tmp_path):
    items = found(record(tmp_path))
    wrong = {key: item for key, item in items.items() if item.state == WRONG}
    assert set(wrong) == {row[:2] for row in EXPECTED}
    for stage, name, value, command in EXPECTED:
        item = wrong[stage, name]
        assert (item.found, bool(item.cost)) == (value, True)
        assert command is None or item.command == command
    assert {key for key, item in wrong.items() if item.required} == {
        ("memlock", "locked memory"), ("bpf", "CAP_BPF"), ("bpf", "CAP_NET_ADMIN")}
    for key in (("offloads", "eth7 lro"), ("irq", "eth7 interrupt 41"), ("bpf", "CAP_NET_RAW"),
                ("clock", "synchronised"), ("sysctls", "net.core.wmem_max"),
                ("nic", "eth7 native XDP"), ("nic", "eth7 time stamps")):
        assert items[key].state == GOOD, items[key]


def test_what_is_wanted_follows_the_configuration(tmp_path):
    items = found(record(tmp_path), mode="socket", steering=False, queues=1, huge_pages=0,
                  spins=False, realtime=0)
    assert items["hugepages", "2 MiB pages"].state == NONE
    assert items["steering", "eth7 ntuple"].state == NONE
    assert items["queues", "eth7"].state == GOOD
    assert items["memlock", "locked memory"].state == GOOD
    assert items["isolated", "isolcpus"].state == NONE
    assert items["sysctls", "net.core.busy_poll"].state == WRONG     # it takes a shared CPU
    assert ("sysctls", "kernel.sched_rt_runtime_us") not in items
    assert not any(item.required for item in items.values())


def test_a_bare_machine_has_nothing_to_set_and_breaks_nothing(tmp_path):
    items = found(tmp_path)
    assert {key[0] for key in items} == set(configure.STAGES)
    assert not [key for key, item in items.items() if item.change and item.state == WRONG]


def test_a_file_that_may_not_be_read_cannot_be_seen_without_root(tmp_path):
    folder = record(tmp_path)
    secret = folder / "proc/sys/net/core/bpf_jit_enable"
    secret.unlink()
    secret.mkdir()                       # cannot be read, also by root
    assert found(folder)["bpf", "BPF JIT"].state == UNSEEN
    assert "without root" in found(folder)["bpf", "BPF JIT"].found


FILES_SET = ("hugepages", "irq", "governor", "cstates", "sysctls")


def content(folder):
    return {path: path.read_text().strip() for path in sorted(folder.rglob("*"))
            if path.is_file()}


def test_init_sets_fini_restores_exactly_and_both_can_be_repeated(tmp_path):
    folder, told = record(tmp_path / "machine"), []
    machine, state = Machine(folder), configure.Memory(tmp_path / "state" / "a.json")
    before = content(folder)
    before[folder / "sys/kernel/mm/transparent_hugepage/enabled"] = "always"     # kernel adds []
    assert configure.init(machine, wants(), state, FILES_SET, told.append) == []
    assert (folder / HUGE).read_text() == "22\n"
    assert any(line.startswith("governor: CPU 1: powersave -> performance") for line in told)
    (folder / HUGE.replace("nr_", "free_")).write_text("16\n")       # as the kernel does
    told.clear()
    assert configure.init(machine, wants(), state, FILES_SET, told.append) == [] == told
    assert not [i for i in configure.look(machine, wants(), FILES_SET)
                if i.state == WRONG and i.change]
    assert configure.fini(machine, state, FILES_SET, told.append) == []
    (folder / HUGE.replace("nr_", "free_")).write_text("4\n")
    assert content(folder) == before and len(told) > 8
    assert not state.path.exists()
    assert configure.fini(machine, state, FILES_SET, told.append) == []


def test_fini_comes_back_to_what_was_before_the_first_init(tmp_path):
    folder = record(tmp_path / "machine")
    machine, state = Machine(folder), configure.Memory(tmp_path / "state.json")
    configure.init(machine, wants(), state, ["hugepages"], lambda _: None)
    (folder / HUGE.replace("nr_", "free_")).write_text("2\n")
    configure.init(machine, wants(), state, ["hugepages"], lambda _: None)
    assert (folder / HUGE).read_text() == "36\n"
    configure.fini(machine, state, (), lambda _: None)
    assert (folder / HUGE).read_text() == "10\n"


def test_a_stage_that_fails_is_told_and_the_others_are_set(tmp_path):
    folder = record(tmp_path / "machine")
    governor = folder / "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor"
    machine, state = Machine(folder), configure.Memory(tmp_path / "state.json")
    real = machine._write

    def refused(name, text):
        if "governor" in name:
            raise MachineError(f"writing {text!r} to {name}: refused")
        real(name, text)
    machine._write = refused
    wrong = configure.init(machine, wants(), state, FILES_SET, lambda _: None)
    assert len(wrong) == 1 and "governor: CPU 1: writing 'performance'" in wrong[0]
    assert governor.read_text() == "powersave\n" and (folder / HUGE).read_text() == "22\n"
    assert all(stage != "governor" for stage, _, _ in state.read())


def test_a_damaged_state_file_is_refused(tmp_path):
    path = tmp_path / "state.json"
    path.write_text("[[1]]")
    with pytest.raises(MachineError, match="not a state file"):
        configure.Memory(path).read()


@needs_namespaces
def test_a_veth_is_looked_at_set_and_set_back():
    """Real tools on a real device: queues and offloads of a veth that was made for this."""
    with Namespace() as place, place.entered():
        subprocess.run("ip link add veth7 numrxqueues 4 numtxqueues 4 type veth peer name peer7 "
                       "&& ethtool -L veth7 rx 1 tx 1", shell=True, check=True)
        before = subprocess.check_output("ethtool -l veth7; ethtool -k veth7", shell=True)
        machine, few = Machine(), wants(interface="veth7", mode="auto", realtime=0)
        stages = ["queues", "offloads", "nic", "irq", "steering", "rings"]
        items = {(i.stage, i.name): i for i in configure.look(machine, few, stages)}
        assert items["queues", "veth7"].found == "1 of 4"
        assert items["nic", "veth7 native XDP"].found.startswith("driver veth")
        assert items["offloads", "veth7 tso"].state == WRONG
        assert (card.xdp_features(machine, "veth7") or card.XDP_BASIC) & card.XDP_BASIC
        state = configure.Memory(f"/dev/shm/wirematch-configure-{os.getpid()}.json")
        try:
            assert configure.init(machine, few, state, stages, lambda _: None) == []
            assert json.loads(state.path.read_text())
            after = configure.look(machine, few, ["queues", "offloads"])
            assert not [item for item in after if item.state == WRONG]
            assert nic.queue_count("veth7") == 2
            assert configure.fini(machine, state, (), lambda _: None) == []
        finally:
            state.path.unlink(missing_ok=True)
        assert subprocess.check_output("ethtool -l veth7; ethtool -k veth7",
                                       shell=True) == before

"""`wirematch faults xfuzz`: the shipped program stands, and any program with a check less falls."""

import json
import os
import shutil
import subprocess

import pytest

from appliance.cli import main
from tests.netns import needs_bpf, needs_namespaces
from tests.shared_data import ROOT
from tools.faults import gate_rig, xfuzz
from tools.faults.gate_model import Bucket, Gate

pytestmark = [needs_bpf, needs_namespaces]

FRAMES = 200_000_000 if os.environ.get("WIREMATCH_LONG") else 2_000_000
MUTANT_FRAMES, SEED = 250_000, 20261126

# Each is one line of the program, or of its tables, that is made wrong.
MUTANTS = {
    "any EtherType": ("ether_type != bpf_htons(ETH_P_IP)", "0"),
    "no VLAN": ("ether_type == bpf_htons(ETH_P_8021Q)", "0"),
    "two VLAN EtherTypes": ("ether_type == bpf_htons(ETH_P_8021Q)",
                            "ether_type == bpf_htons(ETH_P_8021Q) || "
                            "ether_type == bpf_htons(ETH_P_8021AD)"),
    "any VLAN": ("    if (vlan)\n", "    if (0)\n"),
    "a priority is a VLAN": ("vlan = tag->control & VLAN_ID;", "vlan = tag->control;"),
    "half of the VLANs": ("bpf_htons(0x0fff)", "bpf_htons(0x07ff)"),
    "any IP version": ("ip->version != 4 || ", ""),
    "any protocol": ("ip->protocol != IPPROTO_UDP", "0"),
    "later fragments": ("ip->frag_off & FRAGMENT_OFFSET", "0"),
    "first fragments": ("ip->frag_off & FRAGMENT_MORE", "0"),
    "options": ("options_sz || ", ""),
    "no IP checksum": ("|| !ipv4_checksum_holds(ip)", ""),
    "a folded checksum too few": ("return sum == 0xffff;", "return (sum & 0xfffe) == 0xfffe;"),
    "any length of frame": ("cursor.end - (void *)ip > IP_MOST", "0"),
    "a byte too long": ("#define IP_MOST   1500", "#define IP_MOST   1501"),
    "no least IP length": ("|| ip_sz < sizeof(*ip) + sizeof(*udp)", ""),
    "IP longer than the frame": ("|| ip_sz > cursor.end - (void *)ip", ""),
    "any UDP length": ("|| bpf_ntohs(udp->len) != ip_sz - sizeof(*ip)", ""),
    "any address": ("|| in->places[owner - 1].ip != ip", ""),
    "a port with its bytes turned": ("in->owners[bpf_ntohs(udp_port)]", "in->owners[udp_port]"),
    "every source": ("if (id < 0)", "if (id < -1)"),
    "three ways of four": ("way < WM_SET_SZ", "way < WM_SET_SZ - 1"),
    "no bogons": ("is_bogon(ip) ? drop_bogon_source : drop_unknown_source", "drop_unknown_source"),
    "our own address is fine": (" || ip->saddr == ip->daddr", ""),
    "any device": ("place->ifindex != frame->ingress_ifindex || ", ""),
    "any queue": ("|| place->queue != frame->rx_queue_index", ""),
    "no guard": ("limit->price\n        && ", "0 && "),
    "a frame is a message": ("return claimed ? claimed : 1;", "return 1;"),
    "whatever is claimed": ("if (claimed > most)", "if (0)"),
    "free heartbeats": ("return claimed ? claimed : 1;", "return claimed;"),
    "one too many": ("until - now <= limit->room", "until - now <= limit->room + limit->price"),
    "a refused one is charged": ("    if (until - now <= limit->room) {\n        *debt = until;\n",
                                 "    *debt = until;\n    if (until - now <= limit->room) {\n"),
    "metadata for all": ("if (place->stamped)", "if (1)"),
    "two counters": ("    int verdict = bpf_redirect_map",
                     "    leave(0, redirected);\n    int verdict = bpf_redirect_map"),
    "a changed byte": ("    if (place->stamped)", "    ip->ttl--;\n    if (place->stamped)"),
}


def compiled(folder, old, new):
    """The object of the program with one text in it replaced."""
    for part in ("bpf", "native/gen"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.o"))
    hits = 0
    for name in ("steer.bpf.c", "tables.h", "parse.h"):
        path = folder / "bpf" / name
        text = path.read_text()
        hits += text.count(old)
        path.write_text(text.replace(old, new))
    assert hits == 1, f"{old!r} stands {hits} times in the program"
    made = subprocess.run(["make", "-C", str(folder / "bpf"), "steer.bpf.o"], capture_output=True,
                          text=True)
    assert made.returncode == 0, made.stderr
    return folder / "bpf" / "steer.bpf.o"


@pytest.mark.slow
def test_the_program_and_the_model_agree_on_millions_of_frames():
    found = xfuzz.run(xfuzz.steer.BPF_FOLDER / "steer.bpf.o", FRAMES, SEED)
    assert found["frames"] == sum(found["reasons"].values()) >= FRAMES
    assert min(found["reasons"].values()) > 1000, found


@pytest.mark.parametrize("name", list(MUTANTS))
def test_a_program_with_one_check_wrong_is_caught(tmp_path, name):
    path = compiled(tmp_path, *MUTANTS[name])
    with pytest.raises(xfuzz.Difference, match="frame"):
        xfuzz.run(path, MUTANT_FRAMES, SEED)


def test_the_command_prints_the_frame_both_answers_and_the_seed(tmp_path, capsys):
    path = compiled(tmp_path, *MUTANTS["no IP checksum"])
    assert xfuzz.main(["--object", str(path), "--frames", "50000", "--seed", "7"]) == 1
    words = capsys.readouterr().err.splitlines()
    assert "seed 7, portion 0, frame" in words[0]
    assert len(bytes.fromhex(words[1])) >= 14
    assert words[2].startswith("the program: ") and words[3].startswith("the model: ")
    assert "drop, drop_ip_header" in words[3]


def test_the_same_seed_gives_the_same_frames_and_another_others():
    with gate_rig.GateRig() as rig:
        one, two, other = (xfuzz.Fuzzer(rig, seed).make(5) for seed in (1, 1, 2))
    assert (one.frames == two.frames).all() and (one.lengths == two.lengths).all()
    assert (one.frames != other.frames).any()


def test_the_command_line(capsys):
    with pytest.raises(SystemExit) as left:
        main(["faults", "xfuzz", "--frames", "1000", "--seed", "3", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert left.value.code == 0 and found["seed"] == 3 and found["differences"] == 0
    with pytest.raises(SystemExit) as left:
        main(["faults", "xfuzz", "--frames", "0"])
    assert left.value.code == 2


def test_the_two_models_are_told_apart(monkeypatch):
    monkeypatch.setattr(Gate, "judge", lambda *_: (2, "pass_not_ours", 0))
    with gate_rig.GateRig() as rig, pytest.raises(xfuzz.Difference, match="vector model"):
        xfuzz.Fuzzer(rig, SEED).portion(0)


def test_a_bucket_grows_with_time_and_never_beyond_its_burst():
    bucket = Bucket(1000, 5)
    assert [bucket.take(2, 0), bucket.take(4, 0), bucket.take(3, 0)] == [True, False, True]
    assert not bucket.take(1, 999_999) and bucket.take(1, 1_000_000)
    assert bucket.take(5, 10**12) and not bucket.take(1, 10**12)


def test_without_rights_the_command_says_so(monkeypatch, capsys):
    monkeypatch.setattr(xfuzz.netns, "why_not", lambda: "network namespaces need root")
    assert xfuzz.main([]) == 77 and "need root" in capsys.readouterr().err

"""What a stage may still do after it has given its rights away."""

import json
import os
import subprocess
import sys

import pytest

from tests.shared_data import ROOT

UID = 61_977
PROGRAM = """
import ctypes, json, mmap, os, sys
from appliance.stages import rights
held = os.open("/proc/self/status", os.O_RDONLY)
answer = rights.drop(int(sys.argv[1]), deny_write_execute=sys.argv[2] == "deny")
found = {"answer": answer, "groups": os.getgroups(), "gid": os.getegid()}
for name, attempt in (("root again", lambda: os.setresuid(0, 0, 0)),
                      ("a file of root", lambda: open("/etc/shadow")),
                      ("new code", lambda: mmap.mmap(-1, 4096, prot=7))):
    try:
        attempt()
        found[name] = True
    except OSError:
        found[name] = False
with open("/proc/self/status") as status:
    rows = dict(line.rstrip().split(":", 1) for line in status)
found["rows"] = {key: rows[key].strip() for key in ("Uid", "CapEff", "CapPrm", "NoNewPrivs")}
print(json.dumps(found))
"""


def dropped(uid, deny="deny"):
    """What a process finds after `drop`."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(uid), deny], cwd=ROOT, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_root_becomes_its_own_user_without_capabilities_and_for_good():
    found = dropped(UID)
    assert found["answer"]["uid"] == UID and found["answer"]["capabilities"] == 0
    assert (found["groups"], found["gid"]) == ([], UID)
    assert found["rows"]["Uid"].split() == [str(UID)] * 4
    assert int(found["rows"]["CapEff"], 16) == int(found["rows"]["CapPrm"], 16) == 0
    assert found["rows"]["NoNewPrivs"] == "1"
    assert not found["root again"] and not found["a file of root"]


def test_no_new_executable_memory_where_the_kernel_can_refuse_it():
    found = dropped(UID)
    if not found["answer"]["write_execute_denied"]:
        pytest.skip("this kernel has no PR_SET_MDWE (6.3 or newer has)")
    assert not found["new code"]
    assert dropped(UID, "leave")["new code"], "it is the denial that refuses"

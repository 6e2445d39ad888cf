"""The tidy check finds every breach it claims to find, accepts what is allowed, and passes here."""

import shutil

import pytest

from tools import gen, tidy

DOC = '"""What it is for."""\n'


@pytest.fixture
def tree(tmp_path):
    """A function that writes {path: text} as a tree whose generated files are fresh."""
    def make(files):
        for name in gen.GENERATED:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tidy.ROOT / name, tmp_path / name)
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path
    return make


def rules(root, rule):
    """The texts of the findings of one rule."""
    return [f"{f.path}:{f.line}: {f.text}" for f in tidy.findings(root) if f.rule == rule]


def kernel(body, head="@njit(cache=True)"):
    """A file of hot/ with one kernel."""
    lines = "\n".join("    " + line for line in body.splitlines())
    return {"appliance/hot/x.py": f"{DOC}from numba import njit\n\n\n{head}\ndef k(a):\n{lines}\n"}


@pytest.mark.parametrize("room, line, text", [
    ("appliance/layout/x.py", "from ..hot import fence", "layout may not import hot"),
    ("appliance/layout/x.py", "from appliance.native import lib", "layout may not import native"),
    ("appliance/shm/x.py", "from appliance.host import nic", "shm may not import host"),
    ("appliance/host/x.py", "import appliance.config.load", "host may not import config"),
    ("appliance/notify.py", "from .shm import region", "notify may not import shm"),
    ("appliance/topology.py", "from .stages import matcher", "topology may not import stages"),
    ("appliance/stages/x.py", "from ..control import status", "stages may not import control"),
    ("appliance/control/x.py", "from tools import pcap", "control may not import tools"),
    ("appliance/hot/x.py", "from tests.oracle import book", "hot may not import tests"),
    ("appliance/client/x.py", "from ..hot import book", "client may not import hot"),
    ("appliance/cluster/x.py", "from ..stages import shell", "cluster may not import stages"),
    ("tests/oracle/x.py", "from appliance.layout import codes", "the oracle imports appliance"),
    ("tests/oracle/x.py", "import numpy as np", "the oracle imports numpy"),
    ("appliance/control/x.py", "def f():\n    from ..cli import main",
     "control may not import cli"),
])
def test_import_to_the_right_is_found(tree, room, line, text):
    assert any(text in found for found in rules(tree({room: DOC + line + "\n"}), "rooms"))


@pytest.mark.parametrize("room, line", [
    ("appliance/hot/x.py", "from ..layout import record"),
    ("appliance/hot/x.py", "from appliance.native import external"),
    ("appliance/stages/x.py", "from appliance import notify, topology"),
    ("appliance/control/x.py", "from ..host import cores"),
    ("appliance/client/x.py", "from ..layout.codec import decode"),
    ("appliance/cli.py", "from tools import replay"),
    ("appliance/native.py", "from appliance import _native"),
    ("tests/hot/test_x.py", "from appliance.control import status"),
])
def test_import_to_the_left_is_accepted(tree, room, line):
    assert rules(tree({room: DOC + line + "\n"}), "rooms") == []


def test_stage_may_import_a_helper_but_no_other_stage(tree):
    root = tree({"appliance/stages/shell.py": DOC + "def boot():\n    return 1\n",
                 "appliance/stages/portd.py": DOC + "def main():\n    return 0\n",
                 "appliance/stages/matcher.py": DOC + "from . import portd, shell\n"})
    assert rules(root, "rooms") == [
        "appliance/stages/matcher.py:2: a stage imports the stage appliance.stages.portd"]


@pytest.mark.parametrize("body, text", [
    ("try:\n    pass\nexcept ValueError:\n    pass", "try"),
    ("raise ValueError", "raise"),
    ("with a:\n    pass", "with"),
    ("assert a", "assert"),
    ("return f'{a}'", "an f-string"),
    ("return {1: 2}", "a dict"),
    ("return {x: x for x in a}", "a dict"),
    ("return [a]", "a list"),
    ("return [x for x in a]", "a list"),
    ("return {a}", "a set"),
    ("return sum(x for x in a)", "a generator"),
    ("yield a", "yield"),
    ("print(a)", "print"),
    ("return a * 1.5", "the float 1.5"),
    ("return a / 2", "division"),
    ("return 'text'", "the text 'text'"),
    ("return time.time()", "time"),
    ("return random.random()", "random"),
    ("return np.zeros(4)", "the allocation np.zeros"),
    ("return np.float64(a)", "np.float64"),
    ("return lambda: a", "a closure"),
    ("def inner():\n    return a\nreturn inner()", "a closure"),
    ("import numpy\nreturn a", "an import"),
    ("return lib.wm_now()", "lib"),
])
def test_forbidden_construct_in_a_kernel_is_found(tree, body, text):
    found = rules(tree(kernel(body)), "hot")
    assert found and text in found[0] and "kernel k holds" in found[0]


@pytest.mark.parametrize("head", ["@njit", "@numba.njit(int64(int64), cache=True)", "@kernel",
                                  "@inlined(int64(int64))"])
def test_every_kernel_decorator_is_known(tree, head):
    assert rules(tree(kernel("raise ValueError", head)), "hot")


def test_what_a_kernel_may_hold_is_accepted(tree):
    body = ('"""Doc with 1.5 and text."""\nb = a[0]["flags"] & np.uint32(3)\n'
            'if b == ord("A"):\n    return (b // 2, -1)\n'
            "for i in range(4):\n    b += i\nreturn b, 0")
    assert rules(tree(kernel(body)), "hot") == []


def test_plain_function_in_hot_may_construct_state(tree):
    text = DOC + "import numpy as np\n\n\ndef make(count):\n    return {'a': np.zeros(count)}\n"
    assert rules(tree({"appliance/hot/x.py": text}), "hot") == []


@pytest.mark.parametrize("line", [
    "import os", "import time", "import logging", "from random import random", "import socket",
    "from appliance.native import check", "import struct"])
def test_import_that_hot_may_not_have_is_found(tree, line):
    assert len(rules(tree({"appliance/hot/x.py": f"{DOC}{line}\n"}), "hot")) >= 1


def test_stale_and_missing_generated_files_are_found(tree):
    root = tree({})
    assert rules(root, "generated") == []
    (root / "native/gen/layout.h").write_text("/* old */\n")
    (root / "tools/wirematch.lua").unlink()
    assert len(rules(root, "generated")) == 2


@pytest.mark.parametrize("name, text", [
    ("tools/x.py", "import sys\n"), ("appliance/hot/x.py", ""), ("bpf/x.c", "#include <a.h>\n"),
    ("native/x.h", "int x;\n"), ("tools/x.sh", "#!/bin/bash\nset -e\n"),
    ("tools/x.lua", "local a = 1\n")])
def test_file_that_does_not_say_what_it_is_for_is_found(tree, name, text):
    assert [found.split(":")[0] for found in rules(tree({name: text}), "beginning")] == [name]


@pytest.mark.parametrize("name, text", [
    ("tools/x.py", DOC), ("bpf/x.c", "/* steers */\n"), ("native/x.h", "// clock\n"),
    ("tools/x.sh", "#!/bin/bash\n# set-up\n"), ("tools/x.lua", "-- shows\n")])
def test_file_that_says_what_it_is_for_is_accepted(tree, name, text):
    assert rules(tree({name: text}), "beginning") == []


def test_long_line_long_file_and_long_function_are_found(tree):
    body = "def f():\n" + "    pass\n" * 70
    root = tree({"tools/wide.py": DOC + "x = '" + "y" * 100 + "'\n",
                 "tools/long.py": DOC + "x = 1\n" * 400, "tools/deep.py": DOC + body,
                 "tools/fits.py": DOC + "x = '" + "y" * 94 + "'\n" + "x = 1\n" * 398})
    assert rules(root, "columns") == ["tools/wide.py:2: 106, at most 100"]
    assert rules(root, "size") == ["tools/deep.py:2: function of 71 lines, at most 70",
                                   "tools/long.py:1: file of 401 lines, at most 400"]


def test_exceptions_may_only_shrink(tree):
    files = tidy.sources(tree({"tools/long.py": DOC + "x = 1\n" * 449}))

    def found(known):
        return [f.text for f in tidy.check_sizes(files, {"tools/long.py": known}, {})
                if f.path == "tools/long.py"]

    assert found(450) == []
    assert found(449) == ["file of 450 lines, at most 449"]
    assert found(460) == ["the exception of 460 lines for tools/long.py is too large: "
                          "lower it to 450"]
    short = list(tidy.check_sizes(files, {"tools/gone.py": 500}, {}))
    assert any("take it out" in f.text for f in short)


@pytest.mark.parametrize("name, line", [
    ("tools/x.py", "# TODO later"), ("tools/x.py", "# FIXME"),
    ("tools/x.py", "# keep in sync with y"), ("tools/x.py", "# keep these in sync"),
    ("appliance/stages/x.py", "now = time.time()"),
    ("appliance/shm/x.py", "x = random.random()"), ("tools/x.py", "path = '/home/someone/x'")])
def test_banned_phrase_is_found(tree, name, line):
    assert len(rules(tree({name: f"{DOC}{line}\n"}), "phrase")) == 1


@pytest.mark.parametrize("line", ["# TODO #12: more", "method = 1", "a.sync()", "b = 'a/home/c'"])
def test_innocent_phrase_is_accepted(tree, line):
    assert rules(tree({"tools/x.py": f"{DOC}{line}\n"}), "phrase") == []


def test_module_that_nobody_imports_is_found(tree):
    root = tree({"tools/lonely.py": DOC, "tools/used.py": DOC, "tools/named.py": DOC,
                 "tools/runs.py": DOC + 'if __name__ == "__main__":\n    pass\n',
                 "tools/__init__.py": DOC, "tools/tested.py": DOC,
                 "tools/run.py": DOC + "from . import used\nM = \"tools.named\"\n"
                                       'if __name__ == "__main__":\n    pass\n',
                 "tests/tools/test_it.py": DOC + "from tools import tested\n"})
    assert [found.split(":")[0] for found in rules(root, "unimported")] == [
        "tools/lonely.py", "tools/tested.py"]


def test_module_of_the_client_may_be_used_by_participants_alone(tree):
    root = tree({"appliance/client/orders.py": DOC, "appliance/client/lonely.py": DOC,
                 "tests/client/test_orders.py": DOC + "from appliance.client import orders\n"})
    assert [found.split(":")[0] for found in rules(root, "unimported")] == [
        "appliance/client/lonely.py"]


def test_this_project_is_tidy():
    assert [str(finding) for finding in tidy.findings()] == []

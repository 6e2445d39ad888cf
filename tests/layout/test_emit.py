"""The C header means what the dtypes mean, for gcc and for BPF; what is printed is complete."""

import shutil
import subprocess

import numpy as np
import pytest

from appliance.layout import codes, record, shared
from appliance.layout.digest import NATIVE, constants, layout_digest, layout_text
from appliance.layout.emit import c_header, wire_tables
from appliance.layout.lang import native
from appliance.layout.wire import MESSAGES
from appliance.layout.wire_ouch import TAGS
from tools import gen


def compiler(name):
    """The path of a compiler, or a skip."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed; install it with: apt-get install {name}")
    return path


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_c_compiler_places_every_field_where_numpy_does(tmp_path):
    lines = []
    for struct in NATIVE:
        lines.append(f'printf("{struct.name} %zu\\n", sizeof(struct wm_{struct.name}));')
        lines += [f'printf("{struct.name}.{f.name} %zu %zu\\n", '
                  f"offsetof(struct wm_{struct.name}, {f.name}), "
                  f"sizeof(((struct wm_{struct.name} *)0)->{f.name}));" for f in struct.fields]
    lines += [f'printf("{name} %lld\\n", (long long)WM_{name});' for name in constants()]
    (tmp_path / "layout.h").write_text(c_header())
    (tmp_path / "probe.c").write_text(
        '#include <stddef.h>\n#include <stdio.h>\n#include "layout.h"\n'
        "int main(void) {\n" + "\n".join(lines) + "\nreturn 0; }\n")
    run(compiler("gcc"), "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", str(tmp_path / "probe"),
        str(tmp_path / "probe.c"))
    expected = []
    for struct in NATIVE:
        expected.append(f"{struct.name} {struct.dtype.itemsize}")
        expected += [f"{struct.name}.{name} {struct.dtype.fields[name][1]} "
                     f"{struct.dtype.fields[name][0].itemsize}" for name in struct.dtype.names]
    expected += [f"{name} {value}" for name, value in constants().items()]
    assert run(str(tmp_path / "probe")).splitlines() == expected


def test_clang_accepts_the_header_for_bpf(tmp_path):
    (tmp_path / "layout.h").write_text(c_header())
    (tmp_path / "probe.c").write_text(
        '#include "layout.h"\nwm_u64 digest(void) { return WM_LAYOUT_DIGEST; }\n')
    run(compiler("clang"), "-target", "bpf", "-O2", "-Wall", "-Werror", "-c", "-o",
        str(tmp_path / "probe.o"), str(tmp_path / "probe.c"))


def test_a_field_in_the_wrong_place_fails_to_compile(tmp_path):
    broken = c_header().replace("    wm_u8 kind;", "    wm_u16 kind;", 1)
    assert broken != c_header()
    (tmp_path / "layout.h").write_text(broken)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(compiler("gcc"), "-std=c11", "-fsyntax-only", str(tmp_path / "layout.h"))
    assert "static assertion failed" in caught.value.stderr


def test_digest_changes_with_every_kind_of_change(monkeypatch):
    before = layout_digest()
    assert before == layout_digest() and 0 < before < 1 << 64
    monkeypatch.setattr(record, "ENTER", 77)
    changed = {before, layout_digest()}
    monkeypatch.undo()
    monkeypatch.setitem(shared.COUNTER_INDEX, "rx_applied", 77)
    changed.add(layout_digest())
    monkeypatch.undo()
    grown = native("side", 16, "", ("best_ticks", "i32"), ("far_cnt", "u32"),
                   ("order_cnt", "i32"), ("pad", "u32"))
    monkeypatch.setattr("appliance.layout.digest.NATIVE", (*NATIVE[:-1], grown))
    changed.add(layout_digest())
    monkeypatch.undo()
    assert len(changed) == 4 and layout_digest() == before
    assert f"region {shared.REGION.size}" in layout_text()


def test_two_values_of_one_constant_are_refused(monkeypatch):
    monkeypatch.setattr(shared, "ENTER", 5, raising=False)
    with pytest.raises(ValueError, match="ENTER is 1 and 5"):
        constants()


def test_wire_tables_hold_every_message_field_and_tag():
    text = wire_tables()
    for message in MESSAGES.values():
        section = text.split(f"### `{message.letter}` {message.name} — {message.size} bytes")[1]
        section = section.split("\n### ")[0]
        for field in message.fields:
            assert f"| {field.off} | {field.size} | " in section and field.name in section
    for number, tag in TAGS.items():
        assert f"| {number} | {tag.size} | {tag.type}" in text


def test_every_enumeration_has_distinct_values():
    assert len(codes.REJECT_REASONS) == 52 and codes.REJECT_REASONS[0x17] == "invalid symbol"
    assert "".join(map(chr, sorted(codes.CANCEL_REASONS))) == "DEFGHIKQSTUXZe"
    assert sorted(codes.OPTION_NAMES) == sorted(TAGS)
    with pytest.raises(KeyError):
        codes.meanings("NOBODY_")


def test_option_names_and_tag_table_are_the_same_words():
    assert {n: w.replace(" ", "_") for n, w in codes.OPTION_NAMES.items()} == {
        number: tag.name for number, tag in TAGS.items()}


def test_stale_generated_file_is_found_and_written_again(tmp_path):
    assert set(gen.write(tmp_path)) == set(gen.GENERATED)
    assert gen.stale(tmp_path) == {}
    header = tmp_path / "native/gen/layout.h"
    header.write_text(header.read_text().replace("wm_command", "wm_order_in"))
    assert list(gen.stale(tmp_path)) == ["native/gen/layout.h"]
    assert gen.write(tmp_path) == ["native/gen/layout.h"]


def test_generated_files_in_the_tree_are_fresh():
    assert list(gen.stale()) == [], "run: python -m tools.gen"


def test_native_dtypes_have_no_hidden_padding():
    for struct in NATIVE:
        assert np.dtype(struct.dtype.descr, align=True).itemsize == struct.size

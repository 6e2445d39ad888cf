"""Printers of the declarations: the C header of the native structs, and the wire tables.

`c_header()` and `wire_tables()` return whole files as text; `tools/gen.py` writes them. The
dissector is printed by `emit_lua`.
"""

import textwrap

from . import journal, record, shared
from .digest import NATIVE, constants, layout_digest
from .wire import PROTOCOLS
from .wire_ouch import TAG_ELEMENT, TAGS
from .wire_session import SOUP, STRUCTS

_C_TYPES = {"u8": "wm_u8", "i8": "wm_i8", "u16": "wm_u16", "i16": "wm_i16",
            "u32": "wm_u32", "i32": "wm_i32", "u64": "wm_u64", "i64": "wm_i64"}
_C_WORDS = frozenset("auto break case char const continue default do double else enum extern float "
                     "for goto if inline int long register restrict return short signed sizeof "
                     "static struct switch typedef union unsigned void volatile while".split())

_C_TOP = """\
/* Shared records and blocks for C and BPF, generated: edit appliance/layout, then run tools/gen.
 *
 * Printed from record.py, shared.py, gate.py and journal.py of appliance/layout by
 * `python -m tools.gen`; changes made here are lost, and `python -m tools.gen --check` fails on
 * them. Little-endian, naturally aligned, each pad byte a field; every size and offset is asserted.
 */
#ifndef WM_LAYOUT_H
#define WM_LAYOUT_H

typedef __UINT8_TYPE__ wm_u8;
typedef __INT8_TYPE__ wm_i8;
typedef __UINT16_TYPE__ wm_u16;
typedef __INT16_TYPE__ wm_i16;
typedef __UINT32_TYPE__ wm_u32;
typedef __INT32_TYPE__ wm_i32;
typedef __UINT64_TYPE__ wm_u64;
typedef __INT64_TYPE__ wm_i64;
"""


def c_header() -> str:
    """native/gen/layout.h. Raises ValueError for a field name that C reserves."""
    parts = [_C_TOP, f"#define WM_LAYOUT_DIGEST 0x{layout_digest():016X}ULL\n", _c_constants()]
    parts += [_c_struct(struct) for struct in NATIVE]
    parts.append("#endif\n")
    return "\n".join(parts)


def _c_constants():
    lines = [f"#define WM_{name} {_c_number(value)}" for name, value in constants().items()]
    lines.append("")
    lines += [f"#define WM_COUNTER_{name.upper()} {idx}"
              for name, idx in shared.COUNTER_INDEX.items()]
    return "\n".join(lines) + "\n"


def _c_number(value):
    if -2 ** 31 <= value < 2 ** 31:
        return f"({value})" if value < 0 else str(value)
    return f"0x{value:X}{'ULL' if value >= 2 ** 32 else 'U'}"


def _c_comment(text, indent):
    lines = textwrap.wrap(f"/* {text} */", 100 - len(indent),
                          subsequent_indent="   ", break_long_words=False)
    return [indent + line for line in lines]


def _c_struct(struct):
    name = f"struct wm_{struct.name}"
    lines = _c_comment(struct.doc, "") + [name + " {"]
    for field in struct.fields:
        if field.name in _C_WORDS:
            raise ValueError(f"{struct.name}.{field.name}: C reserves this word; rename the field")
        array = f"[{field.count}]" if field.count > 1 else ""
        line = f"    {_C_TYPES[field.type]} {field.name}{array};"
        both = f"{line:<40} /* {field.doc} */"
        if field.doc and len(both) > 100:
            lines += _c_comment(field.doc, "    ")
        lines.append(both if field.doc and len(both) <= 100 else line)
    lines += ["};", f"_Static_assert(sizeof({name}) == {struct.size}, \"size\");"]
    lines += [f"_Static_assert(__builtin_offsetof({name}, {f.name}) == {f.off}, \"at\");"
              for f in struct.fields]
    return "\n".join(lines) + "\n"


_WIRE_TOP = """\
<!-- Wire tables, generated: edit appliance/layout, then run `python -m tools.gen`. -->
# Bytes on the wire

Every message that leaves or enters the machine, printed from the declarations in this folder.
Integers are big-endian; offsets are counted from the first byte of the message (SoupBinTCP: from
the packet's length); texts are padded on the right with spaces, decimal numbers (`numeric`) on the
left. `price4` counts 0.0001 in four bytes, `price4w` in eight, `price8` counts 0.00000001 in eight;
`time6` and `time8` are nanoseconds since midnight. "In" is towards the host, "out" from the host.
"""
_JOURNAL = ("Little-endian, what `wirematch journal dump` reads. A segment file is a `segment` and "
            "the genesis in a header of whole pages, then blocks, each a `journal_block` and its "
            "`journal_record`s, then zeros. A checksum is CRC32C over all that follows its field. "
            "The file `watermark` is two pages that begin with a `watermark`.")
_JOURNAL_STRUCTS = (journal.SEGMENT, journal.JOURNAL_BLOCK, record.JOURNAL_RECORD, record.COMMAND,
                    record.DETAIL, journal.WATERMARK)
_TITLES = (
    ("OUCH 5.0, in", ("ouch", "in")), ("OUCH 5.0, out", ("ouch", "out")),
    ("TotalView-ITCH 5.0 and the end of a GLIMPSE snapshot, out", ("glimpse", "out")),
)


def wire_tables() -> str:
    """appliance/layout/WIRE.md: a table a message."""
    parts = [_WIRE_TOP, "## MoldUDP64\n"]
    parts += [_section(f"{s.name} — {s.size} bytes", s) for s in STRUCTS]
    parts.append("## SoupBinTCP\n")
    parts += [_section(_message_title(m), m) for m in SOUP.values()]
    for title, key in _TITLES:
        parts.append(f"## {title}\n")
        parts += [_section(_message_title(m), m) for m in PROTOCOLS[key].values()]
    parts.append("## Option tags of an OUCH appendage\n\nAn element is u8 length (value size + 1), "
                 "u8 tag, value; each tag at most once, in any order.\n")
    parts.append(_table(("tag", "size", "type", "name", "meaning"), [
        (number, tag.size, _kind(tag), tag.name, _meaning(tag)) for number, tag in TAGS.items()]))
    parts.append(_section(f"{TAG_ELEMENT.name} — {TAG_ELEMENT.size} bytes", TAG_ELEMENT))
    parts.append("\n".join(["## The journal on disk\n", *textwrap.wrap(_JOURNAL, 100), ""]))
    parts += [_section(f"{s.name} — {s.size} bytes", s) for s in _JOURNAL_STRUCTS]
    return "\n".join(parts)


def _message_title(message):
    title = f"`{message.letter}` {message.name} — {message.size} bytes"
    if message.tail:
        title += " and what it carries"
    return title + (" (edition B)" if message.editions == "B" else "")


def _section(title, struct):
    lines = [f"### {title}\n"]
    if struct.doc:
        lines.append(struct.doc + "\n")
    if getattr(struct, "appendage", "never") != "never":
        allowed = ", ".join(map(str, struct.tags)) or "none"
        more = ", ".join(map(str, struct.tags_b)) or "none"
        lines.append(f"Appendage {struct.appendage}; tags: {allowed}; in edition B also: {more}.\n")
    lines.append(_table(("offset", "size", "type", "name", "meaning"), [
        (f.off, f.size, _kind(f), f.name, _meaning(f)) for f in struct.fields]))
    return "\n".join(lines)


def _kind(field):
    text = field.type in ("alpha", "numeric")
    return f"{field.type}({field.count})" if text and field.count > 1 else field.type


def _meaning(field):
    values = [f"{_code(code, field)} {words}" for code, words in field.values.items()]
    return "; ".join(part for part in (field.doc, ", ".join(values)) if part)


def _code(code, field):
    if isinstance(code, str):
        return f"`{code.strip()}`" if code.strip() else "spaces"
    if field.type == "alpha":
        return f"`{chr(code)}`" if code != 32 else "space"
    return f"{code:04X}"


def _table(head, rows):
    align = " | ".join("---:" if name in ("offset", "size", "tag") else "---" for name in head)
    lines = [f"| {' | '.join(head)} |", f"| {align} |"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"

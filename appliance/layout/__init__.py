"""Room 0: every byte that leaves the machine or is shared between processes, declared once.

`lang` is the declaration language. `wire_ouch`, `wire_itch` and `wire_session` declare the
published protocols, `codes` their enumerated values, `wire` finds a message; `codec` and `datagram`
turn bytes into records and back for everything that is not a kernel. `record` declares the records
of the matching core, `shared` the shared-memory blocks, `journal` the files of the journal,
`digest` says what two programs must agree on; `emit` and `emit_lua` print the C header, the wire
tables (WIRE.md) and the dissector, through `python -m tools.gen`. Nothing here imports anything
else of ours.
"""

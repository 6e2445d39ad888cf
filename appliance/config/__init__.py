"""Room 3: from TOML to a frozen Config; every mistake is told at once, with file, line and remedy.

`defaults.toml` explains each key and holds its default; `model` is the shape of the files, `load`
reads and judges them, `mistakes` words the complaints. Nothing here looks at the machine.
"""

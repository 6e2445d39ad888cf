"""Makes what is installed: a wheel and a Debian package, both from the tree as it is built now.

    python -m tools.package [--out DIR] [--if-stale]        DIR is build/ by default
"""

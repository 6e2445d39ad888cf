"""Sub-commands of `wirematch`, a file each, imported only when they are used; cli.py lists them."""

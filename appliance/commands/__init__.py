"""Sub-commands of `wirematch` that have a file of their own; imported when they are used."""

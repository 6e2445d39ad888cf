"""Sources of order flow: each file of this folder turns one kind of data into a `Flow`."""

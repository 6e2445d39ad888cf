"""The journal: a partition's day on disk, outliving every process and every power cut, and played.

A folder holds one partition's day: `segment-000001.wmj` and on, blocks of JOURNAL_RECORDs that name
each other by checksum (`layout/journal.py`), and `watermark`, how far the disk is known to have
them. `segments` makes and opens the files, `watermark` keeps the superblocks, `writer` appends,
`scan` decides after a crash what is whole, torn or corrupt, and reads; `command` shows it all.
Nothing of this knows what a command does: it keeps and gives back bytes.

What the bytes mean: `genesis` says what a core is before its first command, `replay` applies a
journal to it, `sections` says what its state consists of, `snapshot` takes the state out, `restore`
makes a core of it, `snapshot_file` keeps it on disk, `state_hash` is 64 bits of it. `recover` puts
journal and snapshot together; `play`, `outputs`, `compare` and `export` are for those who look.

One writer, and it never retries a failed write or sync: a second try may report success with the
data gone. May import: `layout`, `native`, `hot`, `shm`. Start reading at `scan`.
"""

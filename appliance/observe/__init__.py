"""The numbers of a running appliance for those who look at it; nothing here is on a packet's way.

`reading` reads everything once: shared memory, read-only, and status.json. From its snapshot come
`series` (every number with its name, unit and meaning), and from both the commands `stat`, `top`,
`errors`, `ready`, and the process `metrics` with its page.
"""

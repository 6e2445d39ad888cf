"""The machine's memory and the kernel objects around it: UMEM, AF_XDP sockets, the XDP program.

Cold code only: it runs at start, at stop and when something is repaired. `umem` makes ports,
`steer` holds the XDP program. May import: `layout`, `hot`, `native`.
"""

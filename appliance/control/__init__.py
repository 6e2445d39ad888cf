"""Room 6: the cold side of a running appliance; never on a packet's way.

`supervise` starts, watches and stops the processes (start there), `launch` makes a child process
and the runtime folder, `logins` judges who may trade, `alarms` keeps what an operator must know,
`status` writes and prints the state, `features` asks the kernel what it can do.
"""

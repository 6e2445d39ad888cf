"""Room 5: one file, one process; the cold shell around the kernels.

A stage boots, maps, warms, drops its rights, then calls one kernel again and again. It decides no
trading rule and imports no other stage. `portd` alone is privileged; `matcher` trades; `recovery`
answers re-requests for the feed and serves TCP (`tcp`, and what it is made of: `soup`, `service`,
`doorman`, `gateway`, `glimpse`, `snapshots`).
"""

"""`wirematch replay`: sends what captures hold again, byte for byte, in its own time or another.

    files --> rewrite --> pacing: when each is due --> engine: live, packet, ring, socket --> wire
                          run: loops, pause, stop, progress --> report: late, jitter, picture
    sessions: order flow logs in anew and is renumbered; verify: its answers against a recording
"""

from .command import command

__all__ = ["command"]

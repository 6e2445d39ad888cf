"""The day's logins out of a journal: for a launcher that is new while the sessions are not.

A token is good once a day, whichever launcher was asked; and the login that a session came from may
still be repeated, because its answer may have been lost with the launcher before.
"""

import numpy as np

from ..journal.scan import read
from ..layout.record import COMMAND, DETAIL, DISCONNECT, LOGIN, LOGOUT
from .logins import Bound

TOKEN_SZ = 10
_KIND = COMMAND["kind"].off


def past_logins(directory) -> tuple[dict[bytes, int], dict[int, Bound]]:
    """(token -> account of every login of the day, account -> login that it trades under now).

    directory: the journal of one partition's day. Raises JournalError.
    """
    used, bound, live = {}, {}, set()
    for records in read(directory):
        kinds = records["command"][:, _KIND]
        for record in records[np.isin(kinds, (LOGIN, LOGOUT, DISCONNECT))]:
            command = np.frombuffer(record["command"].tobytes(), COMMAND.dtype)[0]
            account = int(command["account"])
            if command["kind"] != LOGIN:
                live.discard(account)
                continue
            detail = np.frombuffer(record["detail"].tobytes(), DETAIL.dtype)[0]
            token = detail["clordid"].tobytes()[:TOKEN_SZ]
            place = token, int(detail["ip"]), int(detail["udp_port"])
            before = bound.get(account)
            if account in live and (before.token, before.ip, before.udp_port) == place:
                continue                                   # the same login again: nothing changed
            used[token] = account
            bound[account] = Bound(*place, (before.epoch if before else 0) + 1)
            live.add(account)
    return used, bound

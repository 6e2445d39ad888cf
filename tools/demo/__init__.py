"""`wirematch demo`: the whole appliance at work on real order flow, judged at the end.

    order file --> crowd (window) ==veth==> appliance ==veth==> acknowledgements --> crowd
                                                     \\=multicast A, B=> audience --> books
    then       --> pace (2,000 orders/s, open loop, timed)
    at the end     every answer and every feed message against the oracle

`scene` is where it plays, `house` the appliance, `material` the orders, `verdict` the judge.
"""

from .command import command

__all__ = ["command"]

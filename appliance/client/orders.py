"""OrderSession: an account's orders on one partition: what it sends, hears and knows (OUCH 5.0).

    session = OrderSession(partition, "MM0001", "secret")
    session.login()
    number = session.enter("B", 10, "BTCUSD", 783780000)
    answers = session.wait(number)

`poll` or `wait` must be called at least once a second: they also repair losses both ways and send
the heartbeat that keeps the session alive (`session` does the work).
"""

import time

from ..layout.codec import Record, decode, encode
from .session import LoginError, Session
from .state import Order, follow

MARKET = 0x7FFFFFFF
SETTLE_S = 0.05                 # in which a stream that is sent again goes on, if it does
__all__ = ["MARKET", "LoginError", "Order", "OrderSession"]


class OrderSession(Session):
    """A participant's session. Prices x 10,000; quantities in shares; times in seconds.

    `answers`: called with each acknowledgement (a codec Record) after `orders` took it. `orders`
    holds an Order for every UserRefNum that was accepted or put in place by a replace; `user_ref`
    is the last UserRefNum used. An account that has sent orders today must `resume` after its login
    and before its next order: the host silently ignores a UserRefNum that it has seen.
    """

    def __init__(self, partition, account, password, *, bind=("", 0), answers=None, token=None,
                 retry_s=0.02, heartbeat_s=1.0, clock=time.monotonic):
        super().__init__(partition, account, password, bind=bind, token=token, retry_s=retry_s,
                         heartbeat_s=heartbeat_s, clock=clock)
        self.answers, self.orders, self.ready = answers, {}, []
        self.user_ref, self.named, self.named_at = 0, 0, None

    @property
    def known(self) -> bool:
        """Whether the last `query` was answered. A stream that is sent again holds answers to
        earlier queries: such a one is followed, within SETTLE_S, by an order with a number that it
        called unused or by another answer; the last one is followed by neither."""
        return (self.named_at is not None and not self.stream.lacking
                and self.clock() - self.named_at >= SETTLE_S)

    def resume(self, timeout: float = 5.0) -> int:
        """Finds by an Account Query where the account stands; returns its next UserRefNum.

        After a login from number 1, `orders` is complete by then; answers are left for `poll`.
        TimeoutError when no acknowledgement comes for `timeout` s, or the session has ended.
        """
        deadline, seen = self.clock() + timeout, []
        self.query()
        while not self.known and not self.ended and self.clock() < deadline:
            fresh = self.poll(SETTLE_S / 5)
            if fresh:
                seen += fresh
                deadline = self.clock() + timeout
        self.ready[:0] = seen
        if not self.known:
            why = "the session has ended" if self.ended else f"nothing came for {timeout} s"
            raise TimeoutError(f"no answer to the Account Query of {self.account}: {why}")
        return self.user_ref + 1

    def enter(self, side, quantity, symbol, price, *, time_in_force="0", display="Y",
              cross_type="N", capacity="P", clordid="", tags=None) -> int:
        """Enter Order; returns its UserRefNum. side: B S T E; price MARKET: at any price.

        time_in_force: 0 day, 3 immediate or cancel, 6 good till time (tag expire_time, seconds).
        display: Y, A with the firm's name, N hidden. cross_type: N continuous; O, C, H waits for
        the opening, closing or halt cross. tags: {name or number: value} such as min_qty,
        max_floor (shown at a time), post_only, aiq_strategy; see the wire tables. WireError for a
        value that does not fit its field; nothing is sent then. So with every method below.
        """
        return self._numbered("O", side=side, quantity=quantity, symbol=symbol, price=price,
                              time_in_force=time_in_force, display=display, capacity=capacity,
                              intermarket_sweep="N", cross_type=cross_type, cl_ord_id=clordid,
                              tags=tags)

    def replace(self, user_ref_num, quantity, price, *, time_in_force="0", display="Y",
                clordid="", tags=None) -> int:
        """Replace Order; returns the new UserRefNum. quantity: the chain's, executed included.

        Time in force, display and the tags min_qty, max_floor, post_only, expire_time and
        aiq_strategy are the new order's own; the rest it takes over.
        """
        return self._numbered("U", orig_user_ref_num=user_ref_num, quantity=quantity, price=price,
                              time_in_force=time_in_force, display=display,
                              intermarket_sweep="N", cl_ord_id=clordid, tags=tags)

    def cancel(self, user_ref_num: int, quantity: int = 0) -> None:
        """Cancel down to `quantity` (executed shares included), 0 = all that is left."""
        self.send_raw(encode("ouch", "in", "X", user_ref_num=user_ref_num, quantity=quantity))

    def modify(self, user_ref_num: int, side: str, quantity: int) -> None:
        """Modify side letter or total quantity; growing loses priority."""
        self.send_raw(encode("ouch", "in", "M", user_ref_num=user_ref_num, side=side,
                             quantity=quantity))

    def mass_cancel(self, symbol: str = "", firm: str = "", tags=None) -> int:
        """Cancels every live order (of a symbol); returns the request's UserRefNum."""
        return self._numbered("C", firm=firm, symbol=symbol, tags=tags)

    def query(self) -> None:
        """Account Query: the answer `Q` names the next usable UserRefNum; see `known`."""
        self.named_at = None
        self.send_raw(encode("ouch", "in", "Q"))

    def _numbered(self, letter, **fields):
        number = self.user_ref + 1
        message = encode("ouch", "in", letter, fields | {"user_ref_num": number})
        self.user_ref = number
        self.send_raw(message)
        return number

    def poll(self, timeout: float = 0.0) -> list[Record]:
        """Acknowledgements that are due, in order; waits up to `timeout` s for the first."""
        deadline = self.clock() + timeout
        while True:
            self._keep_up()
            left = deadline - self.clock()
            self._receive(0.0 if self.ready else min(left, self._next_duty()))
            if self.ready or self.ended or left <= 0:
                break
        self._keep_up()
        ready, self.ready = self.ready, []
        return ready

    def wait(self, user_ref_num: int, timeout: float = 5.0) -> list[Record]:
        """Polls until an answer to `user_ref_num` came; everything received until then.

        TimeoutError when none comes in time or the session ends; what was received meanwhile is
        then left for `poll`.
        """
        deadline, seen = self.clock() + timeout, []
        while True:
            seen += self.poll(max(0.0, deadline - self.clock()))
            if any(record.get("user_ref_num") == user_ref_num for record in seen):
                return seen
            if self.ended or self.clock() >= deadline:
                break
        self.ready[:0] = seen
        why = ("before the end of session" if self.ended else
               f"within {timeout} s; the host was last heard {self.silent_s:.1f} s ago")
        raise TimeoutError(f"no answer to UserRefNum {user_ref_num} of {self.account} {why}; "
                           f"{len(seen)} other answers came. A number used before today is "
                           "ignored: resume() after a second login")

    def _message(self, message):
        record = decode("ouch", "out", message)
        self.counts["answers"] += 1
        self._follow(record)
        if self.answers is not None:
            self.answers(record)
        self.ready.append(record)

    def _follow(self, record):
        if record.letter == "Q":
            self.named, self.named_at = record.next_user_ref_num, self.clock()
            self.user_ref = max(self.user_ref, self.named - 1)
        else:
            number = record.get("user_ref_num", 0)
            if number >= self.named:
                self.named_at = None
            self.user_ref = max(self.user_ref, number)
            follow(self.orders, record)

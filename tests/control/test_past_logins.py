"""What a new launcher knows of the day's logins: tokens stay used, a live login may be repeated."""

from types import SimpleNamespace

from appliance.control.logins import Bound, Desk
from appliance.control.past_logins import past_logins
from appliance.hot.io_state import ip_number
from appliance.journal.replay import from_ring
from appliance.journal.writer import Writer
from appliance.layout.shared import LINK_DISCONNECT
from tests.control.test_logins import HOME, login, record
from tests.hot.harness import Venue
from tests.journal.kit import GENESIS, kill
from tests.stages.soup_kit import account


def journalled(folder, venue):
    writer = Writer(folder, GENESIS, 0, ahead=False)
    writer.append(from_ring(venue.core))
    writer.sync()
    kill(writer)
    return past_logins(folder)


def test_tokens_of_the_whole_day_and_the_logins_that_live(tmp_path):
    venue = Venue(accounts=["ALPHA", "BETA", "GAMMA"])
    for name, token in (("ALPHA", "TOKENA0001"), ("BETA", "TOKENB0001"), ("BETA", "TOKENB0001"),
                        ("ALPHA", "TOKENA0002"), ("ALPHA", "TOKENA0003")):
        venue.login(name, token=token)
    venue.tell(kind=LINK_DISCONNECT, account=0)
    venue.run()
    used, bound = journalled(tmp_path, venue)
    assert used == {b"TOKENA0001": 0, b"TOKENA0002": 0, b"TOKENA0003": 0, b"TOKENB0001": 1}
    sessions = venue.core.accounts.sessions
    for account, token in ((0, b"TOKENA0003"), (1, b"TOKENB0001")):
        source = venue.clients[("ALPHA", "BETA")[account]].source
        assert bound[account] == Bound(token, ip_number(source[0]), source[1],
                                       int(sessions[account]["epoch"]))
    assert set(bound) == {0, 1}


def test_a_desk_that_knows_them_refuses_and_repeats_as_the_one_before(tmp_path):
    names = ("ALPHA", "BETA")
    venue = Venue(accounts=names)
    part = SimpleNamespace(accounts=[account(name) for name in names],
                           order_session=lambda day, idx: venue.clients[names[idx]].session)

    def asked(desk, name, token):
        return desk.answer(record(login(token, name, b"secret"), HOME, 5000))

    before = Desk(part, 1, venue.core.accounts.sessions, {}, 10 ** 18)
    for name, token in ((b"ALPHA", b"TOKEN00000"), (b"BETA", b"TOKEN00001")):
        outcome, answer = asked(before, name, token)
        assert outcome == "bound"
        venue.tell(**answer)
        venue.run()
    venue.tell(kind=LINK_DISCONNECT, account=1, token="TOKEN00001")
    venue.run()
    used, bound = journalled(tmp_path, venue)
    after = Desk(part, 1, venue.core.accounts.sessions, used, 10 ** 18, bound=bound)
    assert asked(after, b"ALPHA", b"TOKEN00000")[0] == "repeated"
    assert asked(after, b"ALPHA", b"TOKEN00001")[0] == "token_reused"
    assert asked(after, b"BETA", b"TOKEN00001")[0] == "token_reused"
    assert asked(after, b"BETA", b"TOKEN00002")[0] == "bound"

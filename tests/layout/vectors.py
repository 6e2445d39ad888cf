"""The test vectors of the wire specification, section 7: id, what, protocol, bytes, content.

Written there by hand field by field and decoded there by programs nobody here wrote; transcribed
here, so nothing in this file comes from our own encoder. `fields` holds the stated values without
their padding; for MoldUDP64 (session, sequence, count, blocks), where a block names the vector it
carries ("U O01": that SoupBinTCP letter, then O01) and blocks None means a re-request. All times
are 09:30:00.123456789.
"""

from typing import NamedTuple

TIME = 34200123456789


class Vector(NamedTuple):
    """One vector; `protocol` is what decode() takes as its first two arguments."""

    id: str
    what: str
    protocol: str
    raw: bytes
    fields: object


VECTORS = {}


def _vector(name, what, protocol, text, fields):
    VECTORS[name] = Vector(name, what, protocol, bytes.fromhex(text), fields)


_vector("O01", "OUCH O Enter buy 200 EXAMPLE @163.34 day, no appendage", "ouch in",
        "4F0000000142000000C84558414D504C4520000000000018EC783059504E4E434C4F52442D3030303120"
        "2020200000",
        dict(user_ref_num=1, side="B", quantity=200, symbol="EXAMPLE", price=1633400,
             time_in_force="0", display="Y", capacity="P", intermarket_sweep="N", cross_type="N",
             cl_ord_id="CLORD-0001", tags={}))
_vector("O02", "OUCH O Enter sell 300 IOC with Firm MMK1, MinQty 100", "ouch in",
        "4F00000002530000012C4558414D504C4520000000000018ECDC3359504E4E434C4F52442D3030303120"
        "202020000C05024D4D4B31050300000064",
        dict(user_ref_num=2, side="S", quantity=300, symbol="EXAMPLE", price=1633500,
             time_in_force="3", display="Y", capacity="P", intermarket_sweep="N", cross_type="N",
             cl_ord_id="CLORD-0001", tags={2: "MMK1", 3: 100}))
_vector("O03", "OUCH U Replace 1->3, 150 @163.33", "ouch in",
        "55000000010000000300000096000000000018EC1430594E434C4F52442D30303031202020200000",
        dict(orig_user_ref_num=1, user_ref_num=3, quantity=150, price=1633300, time_in_force="0",
             display="Y", intermarket_sweep="N", cl_ord_id="CLORD-0001", tags={}))
_vector("O04", "OUCH X Cancel all of 3 (2023 form, 9 bytes)", "ouch in",
        "580000000300000000",
        dict(user_ref_num=3, quantity=0, tags=None))
_vector("O05", "OUCH X Cancel down to 50 of 3 (2025 form, 11 bytes)", "ouch in",
        "5800000003000000320000",
        dict(user_ref_num=3, quantity=50, tags={}))
_vector("O06", "OUCH M Modify order 2 to T, 300 (2023 form, 10 bytes)", "ouch in",
        "4D00000002540000012C",
        dict(user_ref_num=2, side="T", quantity=300, tags=None))
_vector("O07", "OUCH Q Account query (2023 form, 1 byte)", "ouch in",
        "51",
        dict(tags=None))
_vector("O08", "OUCH C Mass cancel firm MMK1 symbol EXAMPLE", "ouch in",
        "43000000044D4D4B314558414D504C45200000",
        dict(user_ref_num=4, firm="MMK1", symbol="EXAMPLE", tags={}))
_vector("O09", "OUCH D Disable order entry firm MMK1", "ouch in",
        "44000000054D4D4B310000",
        dict(user_ref_num=5, firm="MMK1", tags={}))
_vector("O10", "OUCH E Enable order entry firm MMK1", "ouch in",
        "45000000064D4D4B310000",
        dict(user_ref_num=6, firm="MMK1", tags={}))
_vector("P01", "OUCH S System event S", "ouch out",
        "5300001F1AD635BD1553",
        dict(event_code="S", timestamp=TIME))
_vector("P02", "OUCH A Accepted live", "ouch out",
        "4100001F1AD635BD150000000142000000C84558414D504C4520000000000018EC783059010000000000"
        "0001504E4E4C434C4F52442D30303031202020200000",
        dict(user_ref_num=1, side="B", quantity=200, symbol="EXAMPLE", price=1633400,
             time_in_force="0", display="Y", order_reference_number=72057594037927937,
             capacity="P", intermarket_sweep="N", cross_type="N", order_state="L",
             cl_ord_id="CLORD-0001", timestamp=TIME, tags={}))
_vector("P03", "OUCH A Accepted with Firm and BBO weight", "ouch out",
        "4100001F1AD635BD1500000002530000012C4558414D504C4520000000000018ECDC3359010000000000"
        "0002504E4E4C434C4F52442D3030303120202020000905024D4D4B31021230",
        dict(user_ref_num=2, side="S", quantity=300, symbol="EXAMPLE", price=1633500,
             time_in_force="3", display="Y", order_reference_number=72057594037927938,
             capacity="P", intermarket_sweep="N", cross_type="N", order_state="L",
             cl_ord_id="CLORD-0001", timestamp=TIME, tags={2: "MMK1", 18: "0"}))
_vector("P04", "OUCH U Replaced 1->3", "ouch out",
        "5500001F1AD635BD15000000010000000342000000964558414D504C4520000000000018EC1430590100"
        "000000000003504E4E4C434C4F52442D30303031202020200000",
        dict(orig_user_ref_num=1, user_ref_num=3, side="B", quantity=150, symbol="EXAMPLE",
             price=1633300, time_in_force="0", display="Y",
             order_reference_number=72057594037927939, capacity="P", intermarket_sweep="N",
             cross_type="N", order_state="L", cl_ord_id="CLORD-0001", timestamp=TIME, tags={}))
_vector("P05", "OUCH C Canceled 100, user", "ouch out",
        "4300001F1AD635BD15000000030000006455",
        dict(user_ref_num=3, quantity=100, reason="U", timestamp=TIME, tags=None))
_vector("P06", "OUCH D AIQ canceled 40", "ouch out",
        "4400001F1AD635BD1500000003000000285100000028000000000018EC14414F",
        dict(user_ref_num=3, decrement_shares=40, reason="Q", quantity_prevented=40,
             execution_price=1633300, liquidity_flag="A", aiq_strategy="O", timestamp=TIME,
             tags=None))
_vector("P07", "OUCH E Executed 50 @163.34 added", "ouch out",
        "4500001F1AD635BD150000000100000032000000000018EC784101000000000001010000",
        dict(user_ref_num=1, quantity=50, price=1633400, liquidity_flag="A",
             match_number=72057594037928193, timestamp=TIME, tags={}))
_vector("P08", "OUCH B Broken trade, erroneous", "ouch out",
        "4200001F1AD635BD1500000001010000000000010145434C4F52442D3030303120202020",
        dict(user_ref_num=1, match_number=72057594037928193, reason="E", cl_ord_id="CLORD-0001",
             timestamp=TIME, tags=None))
_vector("P09", "OUCH J Rejected 0x0017 invalid symbol", "ouch out",
        "4A00001F1AD635BD15000000070017434C4F52442D3030303120202020",
        dict(user_ref_num=7, reason=23, cl_ord_id="CLORD-0001", timestamp=TIME, tags=None))
_vector("P10", "OUCH P Cancel pending", "ouch out",
        "5000001F1AD635BD1500000003",
        dict(user_ref_num=3, timestamp=TIME, tags=None))
_vector("P11", "OUCH I Cancel reject", "ouch out",
        "4900001F1AD635BD1500000003",
        dict(user_ref_num=3, timestamp=TIME, tags=None))
_vector("P12", "OUCH T Priority update", "ouch out",
        "5400001F1AD635BD1500000003000000000018EC14590100000000000004",
        dict(user_ref_num=3, price=1633300, display="Y", order_reference_number=72057594037927940,
             timestamp=TIME, tags=None))
_vector("P13", "OUCH M Modified", "ouch out",
        "4D00001F1AD635BD1500000002540000012C",
        dict(user_ref_num=2, side="T", quantity=300, timestamp=TIME, tags=None))
_vector("P14", "OUCH R Restated, refresh, display qty 100", "ouch out",
        "5200001F1AD635BD1500000002520006051600000064",
        dict(user_ref_num=2, reason="R", timestamp=TIME, tags={22: 100}))
_vector("P15", "OUCH Q Account query response next 8", "ouch out",
        "5100001F1AD635BD1500000008",
        dict(next_user_ref_num=8, timestamp=TIME, tags=None))
_vector("P16", "OUCH X Mass cancel response", "ouch out",
        "5800001F1AD635BD15000000044D4D4B314558414D504C45200000",
        dict(user_ref_num=4, firm="MMK1", symbol="EXAMPLE", timestamp=TIME, tags={}))
_vector("P17", "OUCH G Disable response", "ouch out",
        "4700001F1AD635BD15000000054D4D4B310000",
        dict(user_ref_num=5, firm="MMK1", timestamp=TIME, tags={}))
_vector("P18", "OUCH K Enable response", "ouch out",
        "4B00001F1AD635BD15000000064D4D4B310000",
        dict(user_ref_num=6, firm="MMK1", timestamp=TIME, tags={}))
_vector("I01", "ITCH S System Event, code Q", "itch out",
        "53000000001F1AD635BD1551",
        dict(event_code="Q", stock_locate=0, tracking_number=0, timestamp=TIME))
_vector("I02", "ITCH R Stock Directory", "itch out",
        "52000700001F1AD635BD154558414D504C4520514E000000644E435A20544E4E314E000000004E",
        dict(authenticity="T", etp_flag="N", etp_leverage_factor=0, financial_status_indicator="N",
             inverse_indicator="N", ipo_flag="N", issue_classification="C", issue_sub_type="Z",
             luld_ref="1", market_category="Q", round_lot_size=100, round_lots_only="N",
             short_sale_threshold_indicator="N", stock="EXAMPLE", stock_locate=7,
             tracking_number=0, timestamp=TIME))
_vector("I03", "ITCH H Trading Action, state T, no reason", "itch out",
        "48000700001F1AD635BD154558414D504C4520542020202020",
        dict(reason="", reserved="", stock="EXAMPLE", stock_locate=7, trading_state="T",
             tracking_number=0, timestamp=TIME))
_vector("I04", "ITCH Y Reg SHO, 0", "itch out",
        "59000700001F1AD635BD154558414D504C452030",
        dict(reg_sho_action="0", stock="EXAMPLE", stock_locate=7, tracking_number=0,
             timestamp=TIME))
_vector("I05", "ITCH L Market Participant Position", "itch out",
        "4C000700001F1AD635BD154D4D4B314558414D504C4520594E41",
        dict(market_maker_mode="N", market_participant_state="A", mpid="MMK1",
             primary_market_maker="Y", stock="EXAMPLE", stock_locate=7, tracking_number=0,
             timestamp=TIME))
_vector("I06", "ITCH V MWCB levels 4500 4200 3900", "itch out",
        "56000000001F1AD635BD1500000068C617140000000061C9F368000000005ACDCFBC00",
        dict(level1_price=450000000000, level2_price=420000000000, level3_price=390000000000,
             stock_locate=0, tracking_number=0, timestamp=TIME))
_vector("I07", "ITCH W MWCB breached level 1", "itch out",
        "57000000001F1AD635BD1531",
        dict(breached_level="1", stock_locate=0, tracking_number=0, timestamp=TIME))
_vector("I08", "ITCH K IPO quoting period, 10:00:00, A, 17.5000", "itch out",
        "4B000700001F1AD635BD154558414D504C452000008CA0410002AB98",
        dict(ipo_price=175000, ipo_release_qualifier="A", ipo_release_time=36000, stock="EXAMPLE",
             stock_locate=7, tracking_number=0, timestamp=TIME))
_vector("I09", "ITCH J LULD collar 100 / 105 / 95, ext 1", "itch out",
        "4A000700001F1AD635BD154558414D504C4520000F424000100590000E7EF000000001",
        dict(auction_collar_extension=1, auction_collar_reference_price=1000000,
             lower_auction_collar_price=950000, stock="EXAMPLE", stock_locate=7,
             upper_auction_collar_price=1050000, tracking_number=0, timestamp=TIME))
_vector("I10", "ITCH h Operational Halt Q H", "itch out",
        "68000700001F1AD635BD154558414D504C45205148",
        dict(market_code="Q", operational_halt_action="H", stock="EXAMPLE", stock_locate=7,
             tracking_number=0, timestamp=TIME))
_vector("I11", "ITCH A Add Order buy 200 @ 163.3400", "itch out",
        "41000700001F1AD635BD15010000000000000142000000C84558414D504C45200018EC78",
        dict(buy_sell_indicator="B", order_reference_number=72057594037927937, price=1633400,
             shares=200, stock="EXAMPLE", stock_locate=7, tracking_number=0, timestamp=TIME))
_vector("I12", "ITCH F Add Order sell 300 @ 163.3500, MMK1", "itch out",
        "46000700001F1AD635BD150100000000000002530000012C4558414D504C45200018ECDC4D4D4B31",
        dict(attribution="MMK1", buy_sell_indicator="S", order_reference_number=72057594037927938,
             price=1633500, shares=300, stock="EXAMPLE", stock_locate=7, tracking_number=0,
             timestamp=TIME))
_vector("I13", "ITCH E Executed 50", "itch out",
        "45000700001F1AD635BD150100000000000001000000320100000000000101",
        dict(executed_shares=50, match_number=72057594037928193,
             order_reference_number=72057594037927937, stock_locate=7, tracking_number=0,
             timestamp=TIME))
_vector("I14", "ITCH C Executed with price 25 @ 163.3350 printable", "itch out",
        "43000700001F1AD635BD150100000000000002000000190100000000000101590018EC46",
        dict(executed_shares=25, execution_price=1633350, match_number=72057594037928193,
             order_reference_number=72057594037927938, printable="Y", stock_locate=7,
             tracking_number=0, timestamp=TIME))
_vector("I15", "ITCH X Cancel 30", "itch out",
        "58000700001F1AD635BD1501000000000000010000001E",
        dict(cancelled_shares=30, order_reference_number=72057594037927937, stock_locate=7,
             tracking_number=0, timestamp=TIME))
_vector("I16", "ITCH D Delete", "itch out",
        "44000700001F1AD635BD150100000000000001",
        dict(order_reference_number=72057594037927937, stock_locate=7, tracking_number=0,
             timestamp=TIME))
_vector("I17", "ITCH U Replace -> 150 @ 163.3300", "itch out",
        "55000700001F1AD635BD1501000000000000010100000000000003000000960018EC14",
        dict(new_order_reference_number=72057594037927939,
             order_reference_number=72057594037927937, price=1633300, shares=150, stock_locate=7,
             tracking_number=0, timestamp=TIME))
_vector("I18", "ITCH P Trade non-cross 75 @ 163.3450", "itch out",
        "50000700001F1AD635BD150000000000000000420000004B4558414D504C45200018ECAA010000000000"
        "0101",
        dict(buy_sell_indicator="B", match_number=72057594037928193, order_reference_number=0,
             price=1633450, shares=75, stock="EXAMPLE", stock_locate=7, tracking_number=0,
             timestamp=TIME))
_vector("I19", "ITCH Q Cross trade 1000000 @ 163.0000 type O", "itch out",
        "51000700001F1AD635BD1500000000000F42404558414D504C45200018DF3001000000000001014F",
        dict(cross_price=1630000, cross_type="O", match_number=72057594037928193, shares=1000000,
             stock="EXAMPLE", stock_locate=7, tracking_number=0, timestamp=TIME))
_vector("I20", "ITCH B Broken trade", "itch out",
        "42000700001F1AD635BD150100000000000101",
        dict(match_number=72057594037928193, stock_locate=7, tracking_number=0, timestamp=TIME))
_vector("I21", "ITCH I NOII paired 5000 imbalance 700 buy", "itch out",
        "49000700001F1AD635BD15000000000000138800000000000002BC424558414D504C45200018EC780018"
        "ECDC0018EC464F4C",
        dict(cross_type="O", current_reference_price=1633350, far_price=1633400,
             imbalance_direction="B", imbalance_shares=700, near_price=1633500, paired_shares=5000,
             stock="EXAMPLE", stock_locate=7, variation_indicator="L", tracking_number=0,
             timestamp=TIME))
_vector("I22", "ITCH N Retail interest B", "itch out",
        "4E000700001F1AD635BD154558414D504C452042",
        dict(interest_flag="B", stock="EXAMPLE", stock_locate=7, tracking_number=0,
             timestamp=TIME))
_vector("I23", "ITCH O Direct listing capital raise", "itch out",
        "4F000700001F1AD635BD154558414D504C4520590001388000061A800002BF2000001F1AD635BD150002"
        "78D000030570",
        dict(lower_price_range_collar=162000, maximum_allowable_price=400000,
             minimum_allowable_price=80000, near_execution_price=180000,
             near_execution_time=34200123456789, open_eligibility_status="Y", stock="EXAMPLE",
             stock_locate=7, upper_price_range_collar=198000, tracking_number=0, timestamp=TIME))
_vector("G01", "GLIMPSE G End of snapshot, seq 12346", "glimpse out",
        "472020202020202020202020202020203132333436",
        dict(sequence=12346))
_vector("S01", "Soup L login MM0001 / secret / blank / 1", "soup",
        "002F4C4D4D30303031736563726574202020202020202020202020202020202020202020202020202020"
        "20202020202031",
        dict(username="MM0001", password="secret", session="", sequence=1))
_vector("S02", "Soup A accepted session 261122P001 next 1", "soup",
        "001F41323631313232503030312020202020202020202020202020202020202031",
        dict(session="261122P001", sequence=1))
_vector("S03", "Soup J rejected A", "soup",
        "00024A41",
        dict(reason="A"))
_vector("S04", "Soup H server heartbeat", "soup",
        "000148",
        dict())
_vector("S05", "Soup R client heartbeat", "soup",
        "000152",
        dict())
_vector("S06", "Soup Z end of session", "soup",
        "00015A",
        dict())
_vector("S07", "Soup O logout", "soup",
        "00014F",
        dict())
_vector("S08", "Soup + debug hi", "soup",
        "00032B6869",
        dict(payload=b"hi"))
_vector("S09", "Soup U carrying O01", "soup",
        "0030554F0000000142000000C84558414D504C4520000000000018EC783059504E4E434C4F52442D3030"
        "3031202020200000",
        dict(payload=VECTORS["O01"].raw))
_vector("S10", "Soup S carrying P07", "soup",
        "0025534500001F1AD635BD150000000100000032000000000018EC784101000000000001010000",
        dict(payload=VECTORS["P07"].raw))
_vector("M01", "Mold heartbeat next 12346", "mold",
        "32363131323241303031000000000000303A0000",
        ("261122A001", 12346, 0, ()))
_vector("M02", "Mold end of session next 12346", "mold",
        "32363131323241303031000000000000303AFFFF",
        ("261122A001", 12346, 65535, ()))
_vector("M03", "Mold request 5 from 12340", "mold",
        "3236313132324130303100000000000030340005",
        ("261122A001", 12340, 5, None))
_vector("M04", "Mold downstream seq 12346 with I11 and I13", "mold",
        "32363131323241303031000000000000303A0002002441000700001F1AD635BD15010000000000000142"
        "000000C84558414D504C45200018EC78001F45000700001F1AD635BD1501000000000000010000003201"
        "00000000000101",
        ("261122A001", 12346, 2, ("I11", "I13")))
_vector("M05", "Mold downstream one zero length message", "mold",
        "32363131323241303031000000000000303C00010000",
        ("261122A001", 12348, 1, ("",)))
_vector("U01", "UDP login, control datagram (sequence 0), token MM00010001", "mold",
        "4D4D303030313030303100000000000000000001002F4C4D4D3030303173656372657420202020202020"
        "202020202020202020202020202020202020202020202020202031",
        ("MM00010001", 0, 1, ("S01",)))
_vector("U02", "UDP login accepted, control datagram, session 261122P001", "mold",
        "3236313132325030303100000000000000000001001F4132363131323250303031202020202020202020"
        "2020202020202020202031",
        ("261122P001", 0, 1, ("S02",)))
_vector("U03", "UDP client datagram: upstream 1-2, U(O01) U(O04)", "mold",
        "4D4D3030303130303031000000000000000100020030554F0000000142000000C84558414D504C452000"
        "0000000018EC783059504E4E434C4F52442D30303031202020200000000A55580000000300000000",
        ("MM00010001", 1, 2, ("U O01", "U O04")))
_vector("U04", "UDP server datagram: downstream 2-3, S(P02) S(P07)", "mold",
        "32363131323250303031000000000000000200020041534100001F1AD635BD150000000142000000C845"
        "58414D504C4520000000000018EC7830590100000000000001504E4E4C434C4F52442D30303031202020"
        "2000000025534500001F1AD635BD150000000100000032000000000018EC784101000000000001010000",
        ("261122P001", 2, 2, ("S P02", "S P07")))
_vector("U05", "UDP server asks client for upstream 3-4", "mold",
        "4D4D303030313030303100000000000000030002",
        ("MM00010001", 3, 2, None))
_vector("U06", "UDP client fills upstream 3-4 with empty messages", "mold",
        "4D4D30303031303030310000000000000003000200000000",
        ("MM00010001", 3, 2, ("", "")))
_vector("U07", "UDP client idle heartbeat, next upstream 5", "mold",
        "4D4D303030313030303100000000000000050000",
        ("MM00010001", 5, 0, ()))

# Made from the vectors above; each must be refused (MALFORMED: id -> (bytes, what must be said)).
_M01, _M02, _M04 = VECTORS["M01"].raw, VECTORS["M02"].raw, VECTORS["M04"].raw
MALFORMED = {
    "B01": (_M04[:18] + b"\x00\x03" + _M04[20:], "says 3 messages, 2 are there"),
    "B02": (_M04[:20] + b"\x00\x60" + _M04[22:], "says 96, 69 bytes follow"),
    "B03": (_M04[:-4], "says 31, 27 bytes follow"),
    "B04": (_M02 + bytes.fromhex("000141"), "3 bytes after an end of session"),
    "B05": (_M01[:12], "12 bytes, a header has 20"),
}

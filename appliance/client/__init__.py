"""What a participant imports: order sessions and the market-data feed, in plain Python.

    from appliance.client.channel import load
    from appliance.client.orders import OrderSession
    from appliance.client.feed import FeedHandler

    part = load("channel.json").partition_of("BTCUSD")
    with OrderSession(part, "MM0001", "secret") as session, FeedHandler(part, part.ip) as feed:
        session.login()
        number = session.enter("B", 10, "BTCUSD", 783780000)
        for answer in session.wait(number):
            print(answer.letter, dict(answer))
        feed.poll(0.1)
        print(feed.books.by_name["BTCUSD"].best(0))

On several partitions at once, over matchers that die and days that end, blocking or under asyncio:

    with Market("channel.json", "MM0001", "secret", feed_ip="10.0.0.9") as market:
        market.login()
        key = market.enter("B", 10, "BTCUSD", 783780000)
        for event in market.poll(1.0):          # "answer", "lost", "void", "in"
            print(event.kind, event.key, event.record)

    async with AsyncMarket("channel.json", "MM0001", "secret") as market:
        key = await market.enter("B", 10, "BTCUSD", 783780000)
        print((await market.answer(key)).record)

Prices are x 10,000, quantities shares. Everything is single-threaded; a call never blocks longer
than it is told. Rooms: `channel` (where things are), `orders` and `state` (a session and what is
known of its orders), `dropcopy` (what a whole firm is told), `feed` and `book` (both feeds into
books), `snapshot` (GLIMPSE), `inorder` (lost, doubled and shuffled datagrams into numbered
messages), `line` (one partition through sessions and instances), `market` and `aio` (all
partitions). `example.py` is a whole participant.
"""

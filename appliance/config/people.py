"""What entries of the accounts file mean together: passwords, throttles, graces, drop copies."""

from .mistakes import shown


def _number(entry, key):
    value = entry.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def one_password(list_key, i, entry, speaker) -> None:
    """Exactly one way to know the password."""
    given = [key for key in ("password", "password_hash") if key in entry]
    if len(given) != 1:
        speaker.say((list_key, i, "password"), ": give exactly one of password and "
                    f"password_hash, not {'both' if given else 'none'}; a hash is made by: "
                    "wirematch account hash")


def throttle(i, entry, speaker) -> None:
    """A burst and a limit of refusals mean something only under a rate."""
    if _number(entry, "orders_per_second"):
        return
    for key, meaning in (("orders_burst", "how many orders may come at once under a rate"),
                         ("throttle_refusals", "how many refused ones end the session")):
        if value := _number(entry, key):
            speaker.say(("accounts", i, key), f" = {value}: says {meaning}, but orders_per_second "
                        "is 0, no throttle; set it, or leave this out (account_defaults count too)")


def disconnects(i, entry, speaker) -> None:
    """A grace means something only for orders that are cancelled."""
    grace_ms = _number(entry, "disconnect_grace_ms")
    if grace_ms and entry.get("cancel_on_disconnect") is False:
        speaker.say(("accounts", i, "disconnect_grace_ms"), f" = {grace_ms}: how long orders wait "
                    "to be cancelled, but cancel_on_disconnect = false, so they never are; set it "
                    "to true, or leave this out (account_defaults count too)")


def drop_copies(accounts, copies, speaker) -> None:
    """Names of their own, a firm that somebody has, one password."""
    firms = {entry.get("firm") for entry in accounts}
    taken = {entry["name"].lower(): f"accounts[{i}]" for i, entry in enumerate(accounts)
             if isinstance(entry.get("name"), str)}
    for i, entry in enumerate(copies):
        one_password("drop_copies", i, entry, speaker)
        name, firm = entry.get("name"), entry.get("firm")
        if isinstance(name, str):
            if name.lower() in taken:
                speaker.say(("drop_copies", i, "name"), f" = {shown(name)}: stands already in "
                            f"{taken[name.lower()]}; a drop copy logs in under a name of its own")
            taken.setdefault(name.lower(), f"drop_copies[{i}]")
        if isinstance(firm, str) and firm not in firms:
            speaker.say(("drop_copies", i, "firm"), f" = {shown(firm)}: no account has this firm; "
                        f"there are {', '.join(shown(each) for each in sorted(firms, key=str))}")

"""Passwords of accounts: made into hashes, checked beside the launcher's loop, hidden in files.

A hash is `scrypt$14$8$1$<salt>$<key>`: N = 2^14, r = 8, p = 1, 16 bytes of salt, 32 bytes of key,
both in base64, of the password as logins compare it (lower case, no trailing spaces). A check takes
about 50 ms and 16 MiB on purpose, so it runs in a thread of its own (hashlib gives the interpreter
away meanwhile) and a bounded number waits for it.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import re
import threading
import tomllib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec

from ..config.model import Password
from ..host import cores

LG_N, R, P = 14, 8, 1
SALT_SZ, KEY_SZ = 16, 32
PREFIX = f"scrypt${LG_N}${R}${P}$"
NAME_SZ, NICE = 6, 10
_MEMORY_MAX = 64 << 20
TABLES = ("accounts", "drop_copies")
_BEGIN = re.compile(rf"\s*\[\[\s*({'|'.join(TABLES)})\s*\]\]")
_LINE = re.compile(r"""(\s*)password(\s*=\s*)("(?:[^"\\]|\\.)*"|'[^']*')(.*)""", re.DOTALL)


class SecretError(Exception):
    """A password or a file that cannot be hashed; the text says why and what to do."""


def normal(password: bytes) -> bytes:
    """A password as it is compared: letter case and trailing spaces do not count."""
    return password.rstrip(b" ").lower()


def _key(password, salt):
    return hashlib.scrypt(normal(password), salt=salt, n=1 << LG_N, r=R, p=P, dklen=KEY_SZ,
                          maxmem=_MEMORY_MAX)


def make_hash(password: str) -> str:
    """The password_hash of a password, with a salt of its own. SecretError when it is none."""
    try:
        msgspec.convert(password, Password)
    except msgspec.ValidationError:
        raise SecretError("a password has 1 to 10 printable characters without spaces (OUCH's "
                          "login has room for ten)") from None
    salt = os.urandom(SALT_SZ)
    words = (base64.b64encode(part).decode() for part in (salt, _key(password.encode(), salt)))
    return PREFIX + "$".join(words)


def verify(password: bytes, password_hash: str) -> bool:
    """Whether the hash is this password's; takes about 50 ms either way."""
    salt, key = (base64.b64decode(part) for part in password_hash.removeprefix(PREFIX).split("$"))
    return hmac.compare_digest(_key(password, salt), key)


def _step_back(cpus):
    """The calling thread on these CPUs (all, when none is named or they are gone by now) and behind
    everybody else."""
    if cpus:
        with contextlib.suppress(OSError):
            cores.pin(cpus)
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class Checker:
    """Says whether passwords are right; shared by the desks of all partitions.

    accounts: as in the Config; their indices are those of every partition. A pair of account and
    password that was right is remembered as an HMAC under a key of this process, so that the next
    partition and the next login need no wait; a wrong one costs the full time again, and so does
    a name that nobody has. At most `depth` checks wait or run, a quarter of them for one source.
    The thread stays on `cpus`, which keeps it from the matchers' cores, and is nice to others.
    """

    def __init__(self, accounts, depth=64, cpus=()):
        self.plain = [a.password and normal(a.password.encode()) for a in accounts]
        self.hashes = [account.password_hash for account in accounts]
        self.dummy = "" if all(self.plain) else make_hash("nobody")
        self.depth, self.key = depth, os.urandom(32)
        self.right: dict[int, bytes] = {}
        self.under_way: dict[bytes, tuple[Future, int]] = {}
        self.threads = ThreadPoolExecutor(1, "passwords", _step_back, (cpus,))

    def check(self, account: int, name: bytes, password: bytes, source=0) -> bool | Future | None:
        """Whether it is this account's password (-1: nobody's): at once or as a Future.

        name: as it was given. One check serves all who ask for the same name and password while it
        waits or runs, whether somebody has that name or not: the time of an answer tells nothing.
        None: too many wait already, all together or from this source; nothing was begun.
        """
        plain = self.plain[account] if account >= 0 else None
        if plain is not None:
            return hmac.compare_digest(plain, normal(password))
        if account < 0 and not self.dummy:
            return False
        mark = hmac.digest(self.key, name.lower().ljust(NAME_SZ) + normal(password), "sha256")
        if hmac.compare_digest(self.right.get(account, b""), mark):
            return True
        self.under_way = {m: row for m, row in self.under_way.items() if not row[0].done()}
        if mark in self.under_way:
            return self.under_way[mark][0]
        of_source = sum(each == source for _, each in self.under_way.values())
        if len(self.under_way) >= self.depth or of_source >= max(1, self.depth // 4):
            return None
        future = self.threads.submit(self._run, account, password, mark)
        self.under_way[mark] = future, source
        return future

    def _run(self, account, password, mark):
        right = verify(password, self.hashes[account] if account >= 0 else self.dummy)
        right = right and account >= 0
        if right:
            self.right[account] = mark
        return right

    def close(self) -> None:
        """Forgets what waits; the check that runs ends by itself."""
        self.threads.shutdown(wait=False, cancel_futures=True)


def protect(path) -> int:
    """Replaces every plain password of an accounts file by its hash; how many there were.

    The rest of the file stays as it is; the new one replaces it in one step, readable by its owner
    alone. SecretError when it cannot be done; then nothing has changed.
    """
    path = Path(path).resolve()
    try:
        text = path.read_bytes().decode()
        before = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SecretError(f"{path}: cannot be read: {error}") from error
    hashes, wanted = {}, dict(before)
    for table in TABLES:
        entries = before.get(table, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise SecretError(f"{path}: {table}: must be tables, each begun by [[{table}]]")
        for i, entry in enumerate(entries):
            if isinstance(entry.get("password"), str):
                try:
                    hashes[table, i] = make_hash(entry["password"])
                except SecretError as error:
                    raise SecretError(f"{path}: {table}[{i}].password: {error}") from error
        if table in before:
            wanted[table] = [_hidden(entry, hashes.get((table, i)))
                             for i, entry in enumerate(entries)]
    after = _rewritten(text, hashes)
    if _parsed(after) != wanted:
        raise SecretError(f"{path}: not every password stands on a line of its own below "
                          "[[accounts]] or [[drop_copies]], as in: password = \"secret\"; bring "
                          "them into that form, or put in hashes by hand (wirematch account hash)")
    _replace(path, after)
    return len(hashes)


def _hidden(entry, password_hash):
    """An entry with its hash, if it has one, instead of its password."""
    if password_hash is None:
        return entry
    return {key: value for key, value in entry.items() if key != "password"} | {
        "password_hash": password_hash}


def _parsed(text):
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _rewritten(text, hashes):
    """The text with the password line of each entry in `hashes`, by (table, index), replaced."""
    lines, seen, place = [], dict.fromkeys(TABLES, -1), None
    for line in text.splitlines(keepends=True):
        if begun := _BEGIN.match(line):
            seen[begun[1]] += 1
            place = begun[1], seen[begun[1]]
        elif re.match(r"\s*\[", line):
            place = None
        found = _LINE.fullmatch(line) if place in hashes else None
        lines.append(f'{found[1]}password_hash{found[2]}"{hashes[place]}"{found[4]}' if found
                     else line)
    return "".join(lines)


def _replace(path, text):
    fresh, old = path.with_name(f".{path.name}.{os.getpid()}"), path.stat()
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            if os.geteuid() == 0:
                os.fchown(fd, old.st_uid, old.st_gid)
            file.write(text.encode())
            file.flush()
            os.fsync(fd)
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise SecretError(f"{path}: cannot be replaced: {error.strerror}") from error

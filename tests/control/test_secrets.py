"""Passwords and their hashes; an accounts file that is protected in place."""

import os
import tomllib

import msgspec
import pytest
from click.testing import CliRunner

from appliance import cli
from appliance.config.model import PasswordHash
from appliance.control import secrets

ACCOUNTS = """\
# Our participants.
[[accounts]]
name = "ALICE"
password = "se#cret"   # hers
firm = "ALCE"

[[accounts]]
  name = 'BOB'
  password='quote"s'

[[symbols]]
name = "password"
"""


def test_hash_is_what_a_config_takes_and_its_passwords_only():
    text = secrets.make_hash("Secret1")
    assert msgspec.convert(text, PasswordHash) == text and text.startswith("scrypt$14$8$1$")
    assert secrets.verify(b"sECRET1  ", text) and not secrets.verify(b"secret2", text)
    assert secrets.make_hash("Secret1") != text, "a salt of its own"


@pytest.mark.parametrize("password", ["", "12345678901", "with blank", "gr\u00fc\u00df"])
def test_what_is_no_password_gets_no_hash(password):
    with pytest.raises(secrets.SecretError, match="1 to 10 printable"):
        secrets.make_hash(password)


def test_command_hashes_a_line_of_standard_input():
    result = CliRunner().invoke(cli.main, ["account", "hash", "--stdin"], input="secret\n")
    assert result.exit_code == 0
    assert secrets.verify(b"secret", tomllib.loads(result.output)["password_hash"])
    refused = CliRunner().invoke(cli.main, ["account", "hash", "--stdin"], input="\n")
    assert refused.exit_code == 1 and "1 to 10 printable" in refused.output


@pytest.mark.parametrize("cpu", [min(os.sched_getaffinity(0)), 4095])
def test_checks_run_on_their_cpus_and_are_nice_and_do_without_a_cpu_that_is_gone(cpu):
    checker = secrets.Checker([], cpus=(cpu,))
    where = checker.threads.submit(os.sched_getaffinity, 0).result(30)
    nice = checker.threads.submit(os.getpriority, os.PRIO_PROCESS, 0).result(30)
    checker.close()
    ours = os.sched_getaffinity(0)
    assert where == ({cpu} if cpu in ours else ours)
    assert nice == max(secrets.NICE, os.getpriority(os.PRIO_PROCESS, 0))


def test_file_is_protected_in_place_and_the_rest_of_it_stays(tmp_path):
    path = tmp_path / "accounts.toml"
    path.write_text(ACCOUNTS)
    path.chmod(0o644)
    result = CliRunner().invoke(cli.main, ["account", "protect", str(path)])
    assert result.exit_code == 0 and "2 password(s) replaced" in result.output
    assert path.stat().st_mode & 0o777 == 0o600 and list(tmp_path.iterdir()) == [path]
    text = path.read_text()
    alice, bob = tomllib.loads(text)["accounts"]
    assert "password" not in alice | bob and alice["firm"] == "ALCE"
    assert secrets.verify(b"se#cret", alice["password_hash"])
    assert secrets.verify(b'quote"s', bob["password_hash"])
    assert text.replace(f'password_hash = "{alice["password_hash"]}"', 'password = "se#cret"') \
        .replace(f'password_hash="{bob["password_hash"]}"', "password='quote\"s'") == ACCOUNTS
    assert secrets.protect(path) == 0 and path.read_text() == text


def test_drop_copies_are_protected_beside_accounts(tmp_path):
    path = tmp_path / "accounts.toml"
    path.write_text('[[drop_copies]]\nname = "D"\npassword = "one"\nfirm = "F"\n[[accounts]]\n'
                    'name = "A"\npassword = "two"\n[[drop_copies]]\nname = "E"\n'
                    'password = "three"\n')
    assert secrets.protect(path) == 3
    found = tomllib.loads(path.read_text())
    for entry, password in zip((*found["accounts"], *found["drop_copies"]), (b"two", b"one",
                                                                           b"three"), strict=True):
        assert secrets.verify(password, entry["password_hash"]) and "password" not in entry


@pytest.mark.parametrize("text, why", [
    ('accounts = [{name = "A", password = "x"}]\n', "a line of its own"),
    ('[[accounts]]\nname = "A"\npassword = "two words"\n', "accounts[0].password"),
    ("[[accounts]\n", "cannot be read")])
def test_file_that_cannot_be_protected_stays_as_it_was(tmp_path, text, why):
    path = tmp_path / "accounts.toml"
    path.write_text(text)
    result = CliRunner().invoke(cli.main, ["account", "protect", str(path)])
    assert result.exit_code == 1 and why in result.output and path.read_text() == text

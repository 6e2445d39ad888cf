"""What sub-commands have in common: exit codes, the config option, the appliance that runs."""

import json
import os
import sys

import click

DONE, FAILURE, WRONG_USE, CHECK_FAILED, NOT_READY, CANNOT_RUN = 0, 1, 2, 3, 4, 77


def config_option(**more):
    """--config FILE, as every command has it."""
    return click.option("--config", "path", metavar="FILE", help="Main configuration file.", **more)


def load(path):
    """The Config of a file; its mistakes go to standard error, and it is the end."""
    from ..config import load as loading
    from ..config.mistakes import ConfigError
    try:
        return loading.load(path)
    except ConfigError as error:
        click.echo(str(error), err=True)
        count = len(error.complaints)
        click.echo(f"{path}: {count} mistake{'s' if count > 1 else ''}, nothing was started",
                   err=True)
        sys.exit(FAILURE)


def running(where):
    """(status.json of the appliance that runs in a runtime folder, "") or (None, why not)."""
    path = f"{where}/status.json"
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except OSError as error:
        return None, (f"no appliance runs in {where}: {error.strerror} status.json; name its "
                      "--config or --runtime-dir")
    except ValueError as error:
        return None, f"{path} is not an appliance's: {error}"
    if not isinstance(content, dict) or "pid" not in content:
        return None, f"{path} is not an appliance's: it names no process"
    if not os.path.exists(f"/proc/{content['pid']}"):
        return None, (f"no appliance runs in {where}: its launcher, process {content['pid']}, was "
                      "killed; the next start cleans up")
    return content, ""

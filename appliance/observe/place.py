"""Which appliance a command looks at: --config, --runtime-dir, or the default one."""

import functools
import sys

import click

DEFAULT = "/dev/shm/wirematch"
FAILURE, NOT_READY = 1, 4


def options(function):
    """Adds --config and --runtime-dir; the command gets `folder` instead."""

    @click.option("--config", "path", metavar="FILE", help="Its runtime_dir is looked at.")
    @click.option("--runtime-dir", metavar="DIR", help="Look here instead.")
    @functools.wraps(function)
    def command(path, runtime_dir, **more):
        return function(folder=runtime_dir or (_of(path) if path else DEFAULT), **more)

    return command


def _of(path):
    from ..config.load import load
    from ..config.mistakes import ConfigError
    try:
        return load(path).runtime_dir
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def say_problems(content: dict) -> None:
    """What could not be read, on standard error."""
    for text in content["problems"]:
        click.echo(f"warning: {text}", err=True)


def need(content: dict) -> None:
    """Ends the command when nothing runs there."""
    if "name" not in content:
        for text in content["problems"]:
            click.echo(f"Error: {text}", err=True)
        sys.exit(FAILURE)
    say_problems(content)

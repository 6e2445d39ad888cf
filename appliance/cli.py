"""The command `wirematch`. Imports are lazy: `wirematch --help` must be quick.

Exit codes of every sub-command: 0 done, 1 failed (bad configuration, an error), 2 wrong use of the
command line, 3 a check failed, 4 not ready, 77 cannot run on this machine.
"""

import importlib
import sys

import click

from .commands.shared import load as _load
from .commands.shared import running as _running

# Sub-commands of other modules: name -> (module with a click command named `command`, short help).
TOOLS = {
    "configure": ("appliance.commands.configure", "Set the host up, check it, take it back."),
    "control": ("appliance.commands.control", "Give orders to a running appliance."),
    "doctor": ("appliance.commands.doctor", "Say what is wrong now, and what to do."),
    "inspect": ("appliance.commands.inspect", "Read a crash's record, or a running matcher."),
    "journal": ("appliance.journal.play_command", "Look at a partition's journal, and play it."),
    "flow": ("tools.flow", "Make an order capture: from real data, a workload file or a seed."),
    "replay": ("tools.replay", "Replay a capture onto an interface."),
    "record": ("tools.record", "Write a feed to a capture file, from the subscriber's side."),
    "demo": ("tools.demo", "Run the whole appliance on real orders here, and judge it."),
    "bench": ("tools.bench", "Measure the core, the partitions, the kernel's path."),
    "faults": ("tools.faults", "Make faults on purpose: hostile frames, and a verdict."),
    "errors": ("appliance.observe.errors", "Show what went wrong, each thing once."),
    "ready": ("appliance.observe.ready", "Exit 0 when every partition trades, 4 when not."),
    "stat": ("appliance.observe.stat", "Print every number by its name."),
    "top": ("appliance.observe.top", "Watch partitions, rates and latencies live."),
    "watch": ("appliance.commands.watch", "Watch a symbol's book and trades from the feed."),
    "build-core": ("tools.build_core", "Build the matching core as a C library."),
}


class Lazy(click.Group):
    """A group that imports a TOOL only when it is used, and lists it without importing."""

    def list_commands(self, context):
        """Names of all sub-commands, sorted."""
        return sorted({*super().list_commands(context), *TOOLS})

    def get_command(self, context, name):
        """The sub-command, imported now if it is a tool's."""
        if name not in TOOLS:
            return super().get_command(context, name)
        module = TOOLS[name][0]
        try:
            return importlib.import_module(module).command
        except ModuleNotFoundError as missing:
            if missing.name in ("tools", module):
                raise click.ClickException(f"{name}: {module} is not part of this installation; "
                                           "use a checkout of the project") from missing
            raise click.ClickException(
                f"{name} needs the package {missing.name}; install it with: pip install "
                "'wirematch[tools]'") from missing

    def format_commands(self, context, formatter):
        """The list of sub-commands for --help, without importing any tool."""
        rows = []
        for name in self.list_commands(context):
            own = self.commands.get(name)
            rows.append((name, TOOLS[name][1] if own is None else own.get_short_help_str(72)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.version_option(package_name="wirematch", message="%(version)s")
@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def main():
    """Wirematch: a Linux server as an exchange's matching appliance.

    Exit codes: 0 done, 1 failed, 2 wrong use, 3 check failed, 4 not ready, 77 cannot run here.
    """


@main.command()
@click.option("--config", "path", required=True, metavar="FILE", help="Main configuration file.")
def run(path):
    """Run the appliance in the foreground until SIGTERM or Ctrl-C."""
    from .shm import cache
    try:
        cache.use_cache()
    except OSError as error:
        raise click.ClickException(error.strerror) from error
    config = _load(path)
    from .control import supervise
    sys.exit(supervise.run(config))


@main.command("check-config")
@click.argument("path", metavar="FILE")
def check_config(path):
    """Say everything that is wrong with a configuration; change nothing."""
    config = _load(path)
    from .config.load import warnings
    from .control import plan
    found = plan.describe(config)
    runs = _running(config.runtime_dir)[0] is not None
    for text in filter(None, [*warnings(config), "" if runs else plan.shortage(found)]):
        click.echo(f"warning: {text}", err=True)
    for row in found["partitions"]:
        click.echo(f"partition {row['partition']}: {len(row['symbols'])} symbols, orders to "
                   f"{config.interface.ip}:{row['order_port']}, feed {row['group_a']} and "
                   f"{row['group_b']} port {row['feed_port']}")
    click.echo("\n".join(plan.needs(found)))
    click.echo(f"{path}: good ({len(config.accounts)} accounts)")


@main.command()
@click.option("--config", "path", metavar="FILE", help="Its runtime_dir is looked at.")
@click.option("--runtime-dir", metavar="DIR", help="Look here instead.")
@click.option("--json", "as_json", is_flag=True, help="Print status.json as it is.")
def status(path, runtime_dir, as_json):
    """Show how a running appliance is."""
    import json

    from .control import status as states
    where = runtime_dir or (_load(path).runtime_dir if path else "/dev/shm/wirematch")
    content, why = _running(where)
    if content is None:
        raise click.ClickException(why)
    click.echo(json.dumps(content, indent=1) if as_json else states.text(content))


@main.command()
@click.option("--config", "path", required=True, metavar="FILE", help="Main configuration file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def topology(path, as_json):
    """Show partitions, queues, rings and memory, running or planned."""
    import json

    from .control import plan
    config = _load(path)
    content, _ = _running(config.runtime_dir)
    if content is not None and content["config_digest"] != config.digest:
        click.echo(f"warning: process {content['pid']} runs in {config.runtime_dir} by another "
                   f"configuration ({content['config']}, or this file before it was changed)",
                   err=True)
        content = None
    found = plan.describe(config, content)
    click.echo(json.dumps(found, indent=1) if as_json else plan.text(found))


@main.command()
@click.option("--config", "path", required=True, metavar="FILE", help="Main configuration file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a symbol.")
@click.argument("symbols", metavar="SYMBOL...", nargs=-1)
def depth(path, as_json, symbols):
    """Show the best levels of symbols (default: all) of a running appliance."""
    import json

    from .control import depths
    from .shm.depth import DepthError
    from .shm.region import RegionError
    try:
        for found in depths.read(_load(path), symbols):
            click.echo(json.dumps(found) if as_json else depths.text(found))
    except (DepthError, RegionError, KeyError) as error:
        raise click.ClickException(error.args[0]) from error


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def version(as_json):
    """Print versions, SIMD level and the kernel features found here."""
    import json

    from .control import features
    found, rows = features.versions(), features.table()
    if as_json:
        click.echo(json.dumps({"versions": found, "simd": features.simd(),
                               "features": {name: answer for name, answer, _ in rows}}))
        return
    click.echo("  ".join(f"{name} {text}" for name, text in found.items()))
    click.echo(f"price scan: {features.simd()}")
    for name, answer, purpose in rows:
        click.echo(f"{name:<24} {answer:<34} {purpose}")


@main.group()
def account():
    """Hide the passwords of accounts behind hashes."""


@account.command("hash")
@click.option("--stdin", is_flag=True, help="Read the password as one line of standard input.")
def account_hash(stdin):
    """Print the password_hash of a password, which is asked for."""
    from .control import secrets
    password = (sys.stdin.readline().rstrip("\r\n") if stdin
                else click.prompt("Password", hide_input=True, confirmation_prompt=True))
    try:
        click.echo(f'password_hash = "{secrets.make_hash(password)}"')
    except secrets.SecretError as error:
        raise click.ClickException(str(error)) from error


@account.command()
@click.argument("path", metavar="FILE")
def protect(path):
    """Replace every plain password of an accounts file by its hash."""
    from .control import secrets
    try:
        count = secrets.protect(path)
    except secrets.SecretError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{path}: {count} password(s) replaced by hashes; only its owner may read it")


@main.command("drop-in")
@click.option("--config", "path", required=True, metavar="FILE", help="Main configuration file.")
@click.option("--out", metavar="FILE", help="Write it there (its folder is made), not to stdout.")
def drop_in(path, out):
    """Print what a configuration needs of systemd beyond wirematch.service.

    Usually --out /etc/systemd/system/wirematch.service.d/config.conf, then: systemctl daemon-reload
    """
    from .control import dropin
    text = dropin.describe(_load(path))
    if out is None:
        click.echo(text, nl=False)
    else:
        os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
        with open(out, "w", encoding="utf-8") as file:
            file.write(text)


@main.command()
@click.option("--if-needed", is_flag=True, help="Do nothing when they are compiled already.")
def warm(if_needed):
    """Compile every kernel into the cache, so that starting is quick."""
    from .control import warm as warming
    if if_needed and warming.is_warm():
        return
    result = warming.warm()
    for name, seconds in result["modules"]:
        if seconds >= 1.0:
            click.echo(f"  {name}: {seconds:.1f} s")
    click.echo(f"{result['compiled']} kernels compiled, {result['cached']} from the cache, in "
               f"{result['seconds']:.1f} s; kept in {result['folder']}")


if __name__ == "__main__":
    main()

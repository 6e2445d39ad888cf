"""What is printed from the command line: manual pages and completion for three shells."""

import importlib.metadata
import warnings
from pathlib import Path

from appliance.cli import main

SHELLS = {"bash": "bash-completion/completions/wirematch",
          "zsh": "zsh/vendor-completions/_wirematch",
          "fish": "fish/vendor_completions.d/wirematch.fish"}


def manuals(folder: Path) -> None:
    """A page for the command and one for each of its sub-commands."""
    from click_man.core import write_man_pages
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_man_pages("wirematch", main, version=importlib.metadata.version("wirematch"),
                        target_dir=str(folder))


def completions(share: Path) -> None:
    """A script for each shell, where the shell looks for it."""
    from click.shell_completion import get_completion_class
    for shell, where in SHELLS.items():
        made = get_completion_class(shell)(main, {}, "wirematch", "_WIREMATCH_COMPLETE")
        path = share / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made.source_template % made.source_vars())
        path.chmod(0o644)

"""What is in the package and in the units, without a machine."""

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from appliance.config.load import load
from tests.shared_data import ROOT

UNITS, EXAMPLES = ROOT / "systemd", ROOT / "appliance/config/examples"
LIMITS = {"wirematch.service": 40, "wirematch-configure.service": 40}
systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None,
                             reason="systemd-analyze is not installed")


@systemd
@pytest.mark.parametrize("name", LIMITS)
def test_systemd_finds_the_units_closed_enough(name):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                           f"--threshold={LIMITS[name]}", str(UNITS / name)], text=True,
                          capture_output=True, check=False)
    print(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout


@systemd
def test_systemd_understands_every_line_of_the_units(tmp_path):
    """In a folder of their own, so that the programs they name are there."""
    program = tmp_path / "wirematch"
    program.symlink_to("/bin/true")
    for path in (*UNITS.glob("*.service"), *UNITS.glob("*.target")):
        text = path.read_text().replace("/usr/bin/wirematch", str(program))
        (tmp_path / path.name).write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.M))
    done = subprocess.run(["systemd-analyze", "verify", str(tmp_path / "wirematch.target"),
                           str(tmp_path / "wirematch.service")], text=True, capture_output=True,
                          check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["appliance", "laptop-socket", "veth-test", "10g"])
def test_profiles_are_good(name):
    assert load(EXAMPLES / f"{name}.toml").accounts


@pytest.mark.slow
def test_the_wheel_runs_in_an_empty_environment(built, tmp_path):
    """With nothing but what it asks for; the libraries themselves are this environment's."""
    place = tmp_path / "venv"
    venv.create(place, with_pip=False, symlinks=True)
    (site,) = place.glob("lib/python*/site-packages")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps",
                    "--no-warn-conflicts", "--disable-pip-version-check", "--target", str(site),
                    str(built["wheel"])],
                   check=True)
    (ours,) = {path for path in map(Path, sys.path) if path.name == "site-packages"}
    (site / "libraries.pth").write_text(f"{ours}\n")
    code = ("import sys; from appliance import cli; from appliance.shm import steer; "
            "assert str(cli.__file__).startswith(sys.argv[1]), cli.__file__; "
            "assert (steer.BPF_FOLDER / 'steer.bpf.o').exists(); sys.argv[1:] = ['version']; "
            "cli.main()")
    done = subprocess.run([str(place / "bin/python"), "-P", "-c", code, str(site)], text=True,
                          capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"steer program +yes", done.stdout)
    assert "-abi3-linux_" in built["wheel"].name


@pytest.mark.slow
def test_the_package_holds_what_an_operator_looks_for(built):
    root = built["root"]
    for name in ("usr/bin/wirematch", "usr/lib/systemd/system/wirematch.service",
                 "usr/lib/sysusers.d/wirematch.conf", "usr/lib/tmpfiles.d/wirematch.conf",
                 "usr/share/man/man1/wirematch.1", "usr/share/man/man1/wirematch-run.1",
                 "usr/share/bash-completion/completions/wirematch",
                 "usr/share/zsh/vendor-completions/_wirematch",
                 "usr/share/fish/vendor_completions.d/wirematch.fish",
                 "usr/share/doc/wirematch/profiles/10g.toml", "usr/share/doc/wirematch/copyright"):
        assert (root / name).is_file(), name
    assert (root / "etc/wirematch/accounts.toml").stat().st_mode & 0o777 == 0o600
    page = (root / "usr/share/man/man1/wirematch-run.1").read_text()
    assert "Run the appliance in the foreground" in page


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands(built, tmp_path):
    """The script is sourced and asked, with the command on the path."""
    program = tmp_path / "wirematch"
    program.write_text(f"#!{sys.executable} -P\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
                       "from appliance.cli import main\nmain()\n")
    program.chmod(0o755)
    script = built["root"] / "usr/share/bash-completion/completions/wirematch"
    done = subprocess.run(
        ["bash", "-c", f'PATH={tmp_path}:$PATH; . {script}; COMP_WORDS=(wirematch check); '
         'COMP_CWORD=1; _wirematch_completion wirematch; echo "${COMPREPLY[@]}"'],
        cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout.split() == ["check-config"]

"""The DPDK shim is optional: without libdpdk the build goes on, and nothing old stays behind."""

import importlib.util
import os

import pytest

from tests.shared_data import ROOT


@pytest.fixture
def build(monkeypatch, tmp_path):
    """native/build.py as a module that puts the shim into a folder of the test's."""
    spec = importlib.util.spec_from_file_location("native_build", ROOT / "native" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "NATIVE", tmp_path / "native")
    (tmp_path / "native").mkdir()
    (tmp_path / "native" / "dpdk").symlink_to(ROOT / "native" / "dpdk")
    (tmp_path / "native" / "dpdk.h").symlink_to(ROOT / "native" / "dpdk.h")
    (tmp_path / "appliance").mkdir()
    monkeypatch.setattr(module, "DPDK_TARGET", tmp_path / "appliance" / "_dpdk.so")
    return module


@pytest.mark.parametrize("variable", ["PKG_CONFIG_LIBDIR", "PATH"])
def test_without_libdpdk_or_pkg_config_there_is_no_shim(build, monkeypatch, tmp_path, capsys,
                                                        variable):
    build.DPDK_TARGET.write_bytes(b"of a libdpdk that was there")
    monkeypatch.setenv(variable, str(tmp_path))
    build.build_dpdk(if_stale=True)
    assert not build.DPDK_TARGET.exists()
    assert capsys.readouterr().out == (
        "appliance/_dpdk.so: not built, libdpdk is not installed; only interface.mode = \"dpdk\" "
        "needs it\n")


def test_the_shim_is_built_once(build, capsys):
    if not build.dpdk_flags():
        pytest.skip("libdpdk is not installed: WIREMATCH_DPDK=1 make setup")
    build.build_dpdk(if_stale=True)
    first = os.stat(build.DPDK_TARGET).st_mtime_ns
    build.build_dpdk(if_stale=True)
    assert os.stat(build.DPDK_TARGET).st_mtime_ns == first
    assert capsys.readouterr().out == "appliance/_dpdk.so: built\n"

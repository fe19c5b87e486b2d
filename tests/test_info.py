"""What a report of a bug holds, and that a fault of ours points to it."""

import os
import subprocess
import sys

import jax
import pytest

import jaxviz

pytestmark = pytest.mark.once


def test_info_says_what_a_report_needs(command, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXVIZ_CACHE", str(tmp_path))
    code, out, err = command("info")
    assert (code, err) == (0, "")
    lines = dict(line.split(": ", 1) for line in out.splitlines())
    assert lines["jaxviz"] == jaxviz.__version__
    assert f"jax {jax.__version__}" in lines["packages"].split(", ")
    assert jax.devices()[0].device_kind in lines["devices"]
    assert f"JAXVIZ_CACHE={tmp_path}" in lines["settings"].split()
    assert lines["shipped weights"].startswith("alexnet, efficientnet_lite0, squeezenet in ")
    assert lines["fetched weights"] == f"none in {tmp_path}"


def test_what_nobody_expects_ends_in_its_traceback_and_says_how_to_report_it():
    broken = (
        "import importlib, sys, jaxviz.cli\n"
        "def fail(*arguments): raise RuntimeError('out of luck')\n"
        "importlib.import_module('jaxviz.networks.table').layer_table = fail\n"
        "sys.argv = ['jaxviz', 'layers', 'squeezenet']\n"
        "jaxviz.cli.main()\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", broken], capture_output=True, text=True, env=os.environ, check=False
    )
    assert found.returncode == 1
    *_, error, note = found.stderr.splitlines()
    assert error == "RuntimeError: out of luck"
    assert "jaxviz info" in note

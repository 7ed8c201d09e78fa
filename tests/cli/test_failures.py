"""Exit codes and messages of faults and interrupts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import matex
from tests.cli.command_line import FILM, PHRASE, fresh, refused


def test_our_own_faults_end_with_1_and_ask_for_a_report(command, monkeypatch):
    def broken(*_, **__):
        raise ValueError("operands could not be\nbroadcast")

    monkeypatch.setattr(matex, "explain", broken)
    code, out, err = command("explain", FILM, PHRASE)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "report it" in err
    assert not Path("out").exists()
    monkeypatch.setenv("MATEX_DEBUG", "1")
    with pytest.raises(ValueError, match="broadcast"):
        command("explain", FILM, PHRASE)


def test_a_missing_extra_is_a_request_that_cannot_be_met(command, monkeypatch):
    def missing(*_, **__):
        raise matex.MissingExtra("Reading DICOM needs pydicom: pip install matex[dicom]")

    monkeypatch.setattr(matex, "read", missing)
    assert refused(command("explain", FILM, PHRASE), "pip install matex")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explai", FILM, PHRASE], "No such command 'explai'. Did you mean 'explain'? Try matex --help."),
        (["explain", FILM, "x", "--zzzzzzz"], "No such option: --zzzzzzz. Try matex explain --help."),
        (
            ["explain", "-film.png", "x"],
            "No such option: -f. Write a file name that starts with a dash as ./-name, or try matex explain --help.",
        ),
    ],
)
def test_a_mistyped_command_or_option_gets_the_advice_that_fits(command, arguments, message):
    assert command(*arguments) == (2, "", f"matex: {message}\n")


def test_an_interrupt_ends_with_130(command, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(matex, "read", interrupt)
    assert command("explain", FILM, PHRASE)[0] == 130


@pytest.mark.skipif(os.name == "nt", reason="pipes differ")
def test_a_reader_that_goes_away_is_no_error():
    done = fresh(
        "-c", "import os, sys; from matex.cli import run; os.close(int(sys.argv[1])); sys.exit(run(['methods']))", "0"
    )
    assert done.returncode == 0
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        [sys.executable, "-m", "matex", "methods"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")

"""The film, the phrase and the assertions that tests of the command line share."""

import re
import subprocess
import sys

from matex.samples import samples

FILM = samples()[1].path
PHRASE = "opacity in the left lower lung"


def refused(outcome, *parts):
    """True when the command ended with 2 and one line that holds the parts."""
    code, out, err = outcome
    assert (code, out) == (2, ""), err
    assert err.startswith("matex: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for part in parts:
        assert re.search(part, err), err
    return True


def fresh(*arguments, **settings):
    """Run in a process of its own."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, **settings)

"""The command line: one module per command, and what the commands share.

Exit codes: 0 done, 1 our fault, 2 the input or the request is at fault, 130 interrupted. Heavy packages are imported
inside the commands that need them, so that help, lists and shell completion answer without torch.
"""

from matex.cli.app import main as main
from matex.cli.app import run as run

"""Put what benchmarks/matex_default.py printed into the table of docs/matex.md.

python benchmarks/matex_default.py --films 250 > LOG && python docs/make_matex.py LOG
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

PAGE = Path(__file__).parent / "matex.md"
# Rows of the page, by the name that the benchmark gives them; it tries more than a page can show.
ROWS = {
    "paper weights, atlas prior": "the paper's weights, atlas prior",
    "matex-paper": "`matex-paper`",
    "beta 0.1": "beta 0.1",
    "matex as shipped": "**beta 0: `matex`**",
    "beta 0.4": "beta 0.4",
    "flow: rollout": "flow: real rollout",
    "flow: last blocks": "flow: tau 2",
    "gradient of 1 block": "gradient of 1 block",
    "gradient of 2 blocks": "gradient of 2 blocks",
    "gradient of all blocks": "gradient of all 6 blocks",
    "1 block, beta 0": "1 block, beta 0",
    "2 blocks, beta 0": "2 blocks, beta 0",
    "gradient alone, 3 blocks, attention": "gradient term alone (no prior)",
    "flow alone, tau 0.5": "flow term alone",
    "gamma 0 (no consistency)": "gamma 0",
    "consistency: relative": "consistency: relative",
    "key similarity": "key similarity for attention",
    "prior: gaussian": "prior: gaussian",
    "prior: box": "prior: box",
    "prior: parabola": "prior: parabola, patient's side",
    "lambda_s 1 (no prior)": "lambda_s 1 (no prior)",
    "lambda_s 3.5": "lambda_s 3.5",
    "delta 1": "delta 1",
    "grad-eclip": "`grad-eclip`",
    "raw-attention": "`raw-attention`",
    "rollout": "`rollout`",
    "control: prior alone": "control: prior alone",
    "control: mirrored prior alone": "control: prior of the other side alone",
    "control: uniform map": "control: uniform map",
}
RANDOM = {
    "matex as shipped": "random weights, `matex`",
    "matex without its prior": "random weights, `matex` without its prior",
    "matex-paper": "random weights, `matex-paper`",
    "grad-eclip": "random weights, `grad-eclip`",
}


def values(part: str) -> dict[str, list[str]]:
    """Cells by row of one printed table."""
    found = re.findall(r"^\| (.+?) \| ([^|]+(?: \| [^|]+)*) \|$", part, re.M)
    return {name: cells.split(" | ") for name, cells in found if "---" not in name}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    settings = re.split(r"^## ", parser.parse_args().log.read_text(encoding="utf-8"), flags=re.M)[1:]
    parts = [[values(part) for part in one.split("Random weights:")] for one in settings]
    lines = [
        f"| {label} | " + " | ".join(cell.replace("nan", "–") for part in parts for cell in part[at][name]) + " |"
        for at, rows in enumerate((ROWS, RANDOM))
        for name, label in rows.items()
    ]
    page = PAGE.read_text(encoding="utf-8")
    old = re.search(r"(?<=<!-- settings -->\n)(.+\n.+\n)(?:\|.+\n)+(?=<!-- end -->)", page)
    if not old:
        raise SystemExit(f"Expected a table between <!-- settings --> and <!-- end --> in {PAGE.name}, found none.")
    PAGE.write_text(page.replace(old[0], old[1] + "\n".join(lines) + "\n"), encoding="utf-8")


if __name__ == "__main__":
    main()

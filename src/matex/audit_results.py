"""Contents of an audit: checks, control maps, and the verdict."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from matex.checks import as_path
from matex.results import DISCLAIMER, Explanation, SaliencyMap, State


@dataclass(frozen=True)
class Check:
    """One question about the map, answered by a control.

    Args:
        question: in plain words.
        state: "pass", "warn", "fail", or "skipped" where the check does not apply, which is never a pass.
        answer: a sentence with the number that decided.
        values: the numbers.
        rule: when it warns, and when it fails.
    """

    question: str
    state: State
    answer: str
    values: Mapping[str, float | str | None]
    rule: str = ""


@dataclass(frozen=True, eq=False)
class Control:
    """Another map of the same film, for comparison with the explanation's.

    Args:
        title: what was changed.
        text: the phrase that was explained.
        score: cosine similarity; of the randomised model where that was changed; a difference of two where the title
            says "rather than".
        image: the map.
        likeness: rank correlation with the reference; NaN where one of them is constant.
        stays: share of the reference's highlighted region that this map highlights too; chance is .1; NaN likewise.
        reference: the map that it is compared with: "map", the explanation's, or for controls without the prior
            "no_prior", the explanation's without its prior.
    """

    title: str
    text: str
    score: float
    image: SaliencyMap
    likeness: float
    stays: float
    reference: Literal["map", "no_prior"] = "map"


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """Controls of one explanation, with their verdicts.

    Args:
        explanation: that was audited.
        checks: by name.
        controls: maps by name.
    """

    explanation: Explanation
    checks: Mapping[str, Check]
    controls: Mapping[str, Control]

    def __repr__(self) -> str:
        counts = Counter(check.state for check in self.checks.values())
        checks = ", ".join(f"{counts[state]} {state}" for state in get_args(State) if counts[state])
        return f"Audit({self.verdict}: {self.explanation.method} on {self.explanation.text!r}; {checks})"

    @property
    def verdict(self) -> Literal["pass", "warn", "fail"]:
        """The worst state among the checks that apply."""
        states = {check.state for check in self.checks.values()}
        return "fail" if "fail" in states else "warn" if "warn" in states else "pass"

    @property
    def summary(self) -> str:
        """The verdict in words."""
        against = [check.answer for check in self.checks.values() if check.state == self.verdict]
        if self.verdict == "fail":
            return " ".join(["This map should not be taken as evidence of what the model used.", *against])
        if self.verdict == "warn":
            return " ".join(["Interpret this map with caution.", *against])
        applied = sum(check.state != "skipped" for check in self.checks.values())
        skipped = len(self.checks) - applied
        others = f" {skipped} did not apply." if skipped else ""
        return f"None of the {applied} applicable checks raises a concern.{others} That does not prove the map right."

    @property
    def prior_share(self) -> float:
        """Share of the map that the prior contributes, whatever the model saw, in [0, 1]."""
        share = self.checks["prior_share"].values["prior_share"]
        return float(share) if isinstance(share, (int, float)) else math.nan

    def record(self) -> dict[str, object]:
        """As plain values, for audit.json."""
        return {
            "format": "matex-audit/2",
            "disclaimer": DISCLAIMER,
            "verdict": self.verdict,
            "summary": self.summary,
            "text": self.explanation.text,
            "method": self.explanation.method,
            "score": self.explanation.score,
            "notes": list(self.explanation.notes),
            "checks": {name: dataclasses.asdict(check) for name, check in self.checks.items()},
            "controls": {
                name: {
                    "title": c.title,
                    "text": c.text,
                    "score": c.score,
                    "reference": c.reference,
                    "likeness": c.likeness,
                    "stays": c.stays,
                }
                for name, c in self.controls.items()
            },
            "provenance": dict(self.explanation.provenance),
        }

    def save(self, folder: str | Path) -> Path:
        """Write audit.json and audit.html into the folder, both or neither."""
        from matex.render.audit import save

        return save(self, as_path(folder, "a folder to write to"))

"""Two findings in one film, each phrase explained: does the map follow the phrase? python examples/two_findings.py"""

import matex
from matex.samples import samples
from matex.simulation import simulate

normal = next(sample for sample in samples() if sample.normal)
film = simulate(
    matex.read(normal.path).pixels,
    seed=3,
    findings=2,
    finding=("mass", "consolidation"),
    side=("right", "left"),
    zone=("upper", "lower"),
)
phrases = [f"{placed.finding} in the {placed.side} {placed.zone} lung" for placed in film.findings]
model = matex.load("tiny")

# The prior knows the side that the phrase names, so it is switched off: the rest is evidence of the model.
explanations = matex.explain_batch(model, [(film.image, phrase) for phrase in phrases], prior_strength=1.0)
for explanation in explanations:
    inside = [explanation.image.values[placed.mask].mean() for placed in film.findings]
    print(
        f"{explanation.text!r}: "
        + ", ".join(f"{p.finding} {v:.2f}" for p, v in zip(film.findings, inside, strict=True))
    )

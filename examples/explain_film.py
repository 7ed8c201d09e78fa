"""Explain one film and print the result: python examples/explain_film.py"""

import matex
from matex.samples import samples

film = samples()[0]
model = matex.load("tiny")
explanation = matex.explain(model, film.path, film.demo_phrase)

print(f"{film.demo_phrase!r} scores {explanation.score:.3f}")
for word, score in explanation.words:
    print(f"  {word:12} {score:+.3f}")
for region in explanation.regions:
    print(f"  understood {region.text!r} as {region.region}, patient's {region.side}")
for name, grid in explanation.components.items():
    print(f"  {name:12} weight {explanation.weights[name]:.2f}, range {grid.min():.3f} to {grid.max():.3f}")
print("written to", explanation.save("out"))

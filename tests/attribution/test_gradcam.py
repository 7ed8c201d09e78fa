"""GradCAM agrees with its twin."""

import pytest
import torch

import matex
from matex.attribution import make
from matex.attribution.gradcam import gradcam as formula
from tests.reference.gradcam import gradcam


@pytest.mark.parametrize(
    ("layer", "at", "over"),
    [(-1, "norm", "patches"), (-1, "input", "all"), (1, "norm", "all"), (2, "input", "patches")],
)
def test_gradcam_agrees_with_its_twin(pair, layer, at, over):
    def points(tower):
        return (tower.normed if at == "norm" else tower.inputs)[layer]

    start = 1 if over == "patches" else 0
    pair.check(
        "gradcam",
        gradcam(points(pair.image), pair.score, pair.patches, range(start, 26)),
        gradcam(points(pair.text), pair.score, pair.tokens, range(start, pair.words.stop + 1)),
        tolerance=1e-10,
        layer=layer,
        at=at,
        over=over,
    )


def test_the_weight_is_the_mean_gradient_over_the_chosen_tokens():
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]]])
    gradient = torch.tensor([[[9.0, 9.0], [1.0, 3.0], [3.0, 1.0]]])
    found = formula(tokens, gradient, torch.tensor([[False, True, True]]))
    assert found.tolist() == [[2.0, 2.0, 2.0]]
    assert formula(tokens, -gradient, torch.tensor([[False, True, True]])).sum() == 0


def test_what_is_no_point_of_a_block_is_refused(model, pixels, token_ids):
    with pytest.raises(ValueError, match="Expected at to be one of norm, input, got 'output'"):
        make("gradcam", {"at": "output"})
    with pytest.raises(matex.InputError, match="Expected layer from -4 to 3 on this tower of 4 blocks, got 4"):
        matex.attribute(model, pixels, token_ids, method="gradcam", layer=4)

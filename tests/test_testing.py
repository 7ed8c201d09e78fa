"""`check_model` passes on sound models and catches five broken adapters, each by the check that is about it."""

import dataclasses
from dataclasses import dataclass, field

import pytest
import torch

import matex
from matex.adapters import clip, siglip
from matex.testing import check_model
from tests.adapters.test_siglip import small_siglip

FAST = ["grad-eclip", "rollout", "gradient", "m2ib"]


@pytest.fixture
def check(pixels, token_ids):
    def run(model, **options):
        return check_model(model, **{"pixels": pixels, "token_ids": token_ids, "methods": FAST, **options})

    return run


def replaced(model, side, kind, **changes):
    """The model with one encoder of another class."""
    tower = model.encoders[side]
    fields = {item.name: getattr(tower, item.name) for item in dataclasses.fields(tower)}
    return dataclasses.replace(model, encoders={**model.encoders, side: kind(**{**fields, **changes})})


def test_the_bundled_model_passes_everything():
    checks = check_model(matex.load("tiny"))
    skipped = {check.name for check in checks if check.state == "skipped"}
    assert {name.partition(": ")[2] for name in skipped} <= {
        "the embedding is the library's own",  # the package has a network of its own, see tests/test_adapters.py
        "padding is not attended to",  # of the image, which has none
    }
    assert len(checks) - len(skipped) >= 16


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_sound_models_pass_in_double_precision(check, model, token_ids, family):
    if family == "siglip":
        model = siglip.adapt(small_siglip(), "small", preprocessing=None, tokenizer=None)
        token_ids = model.text.collate([[3, 4, 5, 1], [9, 1]])
    checks = check(model, token_ids=token_ids, methods=None)
    assert "image: the embedding is the library's own" in {one.name for one in checks if one.state == "pass"}


class ByColumns(clip.ImageTower):
    """Patches column by column, while the grid says row by row."""

    def start(self, entry, inputs):
        state = super().start(entry, inputs)
        rows, columns = state.axis.grid
        patches = state.hidden[:, 1:].unflatten(1, (rows, columns)).transpose(1, 2).flatten(1, 2)
        return dataclasses.replace(state, hidden=torch.cat([state.hidden[:, :1], patches], dim=1))


def test_a_wrong_grid_order_is_caught(check, model):
    with pytest.raises(AssertionError, match="found in each corner: the top right one in row 4, column 0"):
        check(replaced(model, "image", ByColumns))


class WrongReader(clip.ImageTower):
    """Reads the first patch in the place of CLS."""

    def readers(self, axis):
        reader = super().readers(axis)
        return reader._replace(position=reader.position + 1)


def test_a_wrong_reader_is_caught(check, model):
    with pytest.raises(AssertionError, match="image: the embedding is the library's own: differs"):
        check(replaced(model, "image", WrongReader))


class Unmasked(siglip.TextTower):
    """Says that padding is none of its tokens and attends to it all the same."""

    def axis(self, inputs):
        axis = super().axis(inputs)
        return dataclasses.replace(axis, valid=inputs != self.padding)

    def readers(self, axis):
        return super().readers(axis)._replace(position=axis.valid.sum(dim=1) - 1)

    def mask(self, layer, axis, rows=None):
        return None


def test_attended_padding_is_caught(check):
    model = siglip.adapt(small_siglip(), "small", preprocessing=None, tokenizer=None)
    ids = model.text.collate([[3, 4, 5, 1], [9, 1]])
    with pytest.raises(AssertionError, match="text: padding is not attended to: differs"):
        check(replaced(model, "text", Unmasked), token_ids=ids)


class Shifted:
    """A tokenizer whose offsets lag one character behind."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)

    def __call__(self, text, **options):
        encoded = self.tokenizer(text, **options)
        moved = [(max(a - 1, 0), b - 1) if b > a else (a, b) for a, b in encoded["offset_mapping"]]
        return {"input_ids": encoded["input_ids"], "offset_mapping": moved}


def test_wrong_offsets_are_caught():
    tiny = matex.load("tiny")
    with pytest.raises(AssertionError, match="tokens lie where the tokenizer says: token"):
        check_model(dataclasses.replace(tiny, tokenizer=Shifted(tiny.tokenizer)), methods=FAST)


@dataclass(frozen=True, eq=False)
class Stale(clip.ImageTower):
    """Takes the attention from what the last embedded input left behind, as a hook would that was not taken off."""

    kept: dict = field(default_factory=dict)

    def start(self, entry, inputs):
        state = super().start(entry, inputs)
        self.kept["hidden"] = state.hidden.detach()
        return state

    def norm(self, layer, hidden):
        if layer == 0 and self.kept["hidden"].shape == hidden.shape:
            hidden = hidden - hidden.detach() + self.kept["hidden"]
        return super().norm(layer, hidden)


def test_a_stale_hook_is_caught(check, model):
    with pytest.raises(AssertionError, match=r"image: another pass leaves nothing behind: .* after it differs"):
        check(replaced(model, "image", Stale))


class Sharper(clip.ImageTower):
    """Scales its logits otherwise than by the root of the head's width, which methods would not know."""

    def attend(self, layer, normed, axis, rows=None, moving=None):
        attended = super().attend(layer, normed, axis, rows, moving)
        output = torch.nn.functional.scaled_dot_product_attention(*attended[:3], scale=1.0)
        return attended._replace(output=output.transpose(1, 2).flatten(2))


def test_attention_that_methods_would_compute_otherwise_is_caught(check, model):
    with pytest.raises(AssertionError, match="image: attention and values give the output: in block 0 it differs"):
        check(replaced(model, "image", Sharper))


def test_a_hook_that_stays_and_weights_that_change_are_caught(check, model, module):
    class Hooked(clip.ImageTower):
        def start(self, entry, inputs):
            self.layers.register_forward_hook(lambda *_: None)
            return super().start(entry, inputs)

    with pytest.raises(AssertionError, match="the network is left as it was"):
        check(replaced(model, "image", Hooked))


def test_inputs_are_asked_for_where_the_model_has_no_preparation(model, pixels):
    with pytest.raises(matex.InputError, match="Expected pixels"):
        check_model(model)
    with pytest.raises(matex.InputError, match="Expected token_ids"):
        check_model(model, pixels=pixels)

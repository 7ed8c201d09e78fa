"""What a pass saw equals CLIP written out slowly, and nothing is left behind."""

import dataclasses
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import CLIPModel

import matex
from matex.adapters.clip import adapt
from matex.adapters.preprocessing import Preprocessing
from matex.errors import UnsupportedModel
from matex.forward_pass import FROM_INPUT, run
from matex.geometry import Placement
from matex.phrases import parse
from matex.priors.image_context import ImageContext
from matex.recording import record
from matex.trace import Trace
from tests.conftest import BOS, EOS, small_clip
from tests.reference import clip
from tests.reference import gradient as slow


def started(monkeypatch, tower):
    """Number of rows in every pass of a tower from now on."""
    runs, start = [], type(tower).start
    monkeypatch.setattr(type(tower), "start", lambda self, x, inputs: runs.append(len(x)) or start(self, x, inputs))
    return runs


def exact(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)


def reference(module, pixels, ids, which=0):
    ids = ids[which].tolist()
    image, text = clip.image(module, pixels[which]), clip.text(module, ids[: ids.index(EOS) + 1])
    return image, text, clip.cosine(image.embedding, text.embedding)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_the_trace_sees_what_the_slow_twin_sees(module, pixels, token_ids, which, implementation):
    module.set_attn_implementation(implementation)
    model = adapt(module, "small", preprocessing=None, tokenizer=None)
    traces = record(model, pixels, token_ids, image_gradient_blocks=2, text_gradient_blocks=5)
    image, text, score = reference(module, pixels, token_ids, which)
    for trace, tower in ((traces.image, image), (traces.text, text)):
        exact(trace.score[which], score)
        gradients = torch.autograd.grad(score, tower.outputs, retain_graph=True)
        heads, tokens = len(tower.probabilities[0]), len(tower.inputs[0])
        for layer in range(trace.depth):
            split = {
                name: value.unflatten(-1, (heads, -1)).transpose(0, 1)
                for name, value in (
                    ("key", tower.keys[layer]),
                    ("value", tower.values[layer]),
                    ("query", tower.queries[layer]),
                )
            }
            exact(trace.key(layer)[which][:, :tokens], split["key"])
            exact(trace.value(layer)[which][:, :tokens], split["value"])
            exact(trace.query(layer)[which], split["query"][:, tower.readout])
            exact(trace.hidden(layer)[which][:tokens], tower.inputs[layer])
            probabilities = torch.stack(tower.probabilities[layer])
            exact(trace.attention_row(layer)[which][:, :tokens], probabilities[:, tower.readout])
            exact(trace.attention(layer)[which][:, :tokens, :tokens], probabilities)
            exact(trace.gradient(layer)[which].flatten(), gradients[layer][tower.readout])


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("first", [0, 2, 3])
def test_gradients_of_all_tokens_are_those_of_the_slow_twin(module, model, pixels, token_ids, which, first):
    traces = record(model, pixels, token_ids)
    image, text, score = reference(module, pixels, token_ids, which)
    for trace, tower in ((traces.image, image), (traces.text, text)):
        outputs, inputs, normed = (
            torch.autograd.grad(score, points, retain_graph=True)
            for points in (tower.outputs, tower.inputs, tower.normed)
        )
        tokens = len(tower.inputs[0])
        for layer in range(first, trace.depth):
            rows = trace.gradient_rows(layer)[which]
            exact(rows.transpose(0, 1).flatten(1)[:tokens], outputs[layer])
            assert (rows[:, tokens:] == 0).all()
            exact(rows[:, tower.readout], trace.gradient(layer)[which])
            exact(trace.gradient_hidden(layer)[which][:tokens], inputs[layer])
            exact(trace.gradient_normed(layer)[which][:tokens], normed[layer])
            exact(trace.normed(layer)[which][:tokens], tower.normed[layer].detach())
            heads = len(tower.probabilities[0])
            exact(trace.outputs(layer)[which][:tokens], tower.outputs[layer].detach())
            queries = tower.queries[layer].detach().unflatten(-1, (heads, -1)).transpose(0, 1)
            exact(trace.queries(layer)[which][:, :tokens], queries)
        exact(trace.embedding[which], (tower.embedding / tower.embedding.norm()).detach())


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("announced", [True, False])
def test_gradients_at_what_enters_are_those_of_the_slow_twin(module, model, pixels, token_ids, which, announced):
    blocks = {"image_gradient_blocks": FROM_INPUT, "text_gradient_blocks": FROM_INPUT} if announced else {}
    traces = record(model, pixels, token_ids, **blocks)
    image, text, _ = reference(module, pixels, token_ids, which)
    found = traces.image.gradient_entry()
    assert found.shape == pixels.shape
    exact(found[which], slow.image_gradient(module, pixels[which], text.embedding.detach()))
    ids = token_ids[which].tolist()[: text.readout + 1]
    words, places = slow.token_parts(module, ids)
    expected = slow.text_gradient(module, words + places, text.readout, image.embedding.detach())
    found = traces.text.gradient_entry()
    exact(found[which, : len(ids)], expected)
    assert (found[which, len(ids) :] == 0).all()


def test_a_pass_down_to_what_enters_serves_blocks_and_phrases_alike(model, pixels, token_ids, monkeypatch):
    pairs = [(0, 0), (1, 2), (0, 1)]
    plain = record(model, pixels[:2], token_ids, pairs).image
    expected = [plain.gradient(layer) for layer in range(4)], plain.gradient_entry(), plain.attention_row(1)
    calls = started(monkeypatch, model.image)
    trace = record(model, pixels[:2], token_ids, pairs, image_gradient_blocks=FROM_INPUT).image
    exact(trace.gradient_entry(), expected[1])
    for layer in range(4):
        exact(trace.gradient(layer), expected[0][layer])
    exact(trace.attention_row(1), expected[2])
    exact(trace.gradient_rows(2), plain.gradient_rows(2))
    exact(trace.rerun(model.image, 1).gradient(2), expected[0][2])
    assert calls == [2]
    assert not any(value.requires_grad for value in (trace.score, trace.embedding, trace.hidden(2), trace.value(1)))
    for number, (i, t) in enumerate(pairs):
        alone = record(model, pixels[i : i + 1], token_ids[t : t + 1], image_gradient_blocks=FROM_INPUT).image
        exact(trace.gradient_entry()[number], alone.gradient_entry()[0])


@pytest.mark.parametrize("blocks", [0, FROM_INPUT])
def test_another_target_gives_the_gradient_of_its_own_product(model, pixels, token_ids, blocks):
    trace = record(model, pixels, token_ids, image_gradient_blocks=blocks).image
    other = record(model, pixels, token_ids.flip(0), image_gradient_blocks=blocks).image
    own = trace.gradient_entry()
    exact(trace.gradient_entry(other.target), other.gradient_entry())
    exact(trace.gradient_entry(2 * trace.target - other.target), 2 * own - other.gradient_entry())
    exact(trace.gradient_entry(), own)


def test_inputs_are_the_different_ones_as_they_were_given(model, pixels, token_ids):
    pairs = [(0, 0), (1, 2), (0, 1)]
    traces = record(model, pixels[:2], token_ids, pairs)
    assert torch.equal(traces.image.inputs, pixels[:2])
    assert torch.equal(traces.text.inputs, token_ids)
    assert (traces.image.item.tolist(), traces.text.item.tolist()) == ([0, 1, 0], [0, 2, 1])
    with torch.inference_mode():
        inside = record(model, pixels.clone(), token_ids.clone()).image.inputs
    assert torch.equal(inside, pixels)
    assert not inside.is_inference()


@pytest.mark.parametrize("scale", [1 / 255, 1.0])
def test_levels_are_what_a_black_and_a_white_film_become(model, token_ids, scale):
    way = Preprocessing((35, 35), "squash", "bilinear", scale, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    model = dataclasses.replace(model, preprocessing=way)
    films = [np.tile(np.uint8([[level] * 40]), (40, 1)) for level in (0, 255)]
    pixels = torch.cat([way(matex.read(film), (7, 7))[0] for film in films]).double()
    trace = record(model, pixels, token_ids[:2]).image
    assert trace.levels.shape == (2, 3)
    torch.testing.assert_close(trace.levels, pixels[:, :, 17, 17], rtol=1e-6, atol=0)
    torch.testing.assert_close(trace.levels[0], -torch.tensor([2.0, 2.0, 2.0]).double(), rtol=1e-6, atol=0)


def test_levels_are_unknown_where_the_model_does_not_say_how_it_normalises(model, pixels, token_ids):
    trace = record(model, pixels, token_ids).image
    assert trace.levels is None
    assert Trace(run(model.image, pixels), torch.arange(3), trace.target).levels is None


def test_a_trace_without_its_model_takes_clips_temperature(model, pixels, token_ids):
    target = record(model, pixels, token_ids).image.target
    assert Trace(run(model.image, pixels), torch.arange(3), target).logit_scale == 100


def test_content_is_patches_or_words_of_each_pair(model, pixels, token_ids):
    pairs = [(0, 0), (1, 1), (0, 1)]
    traces = record(model, pixels[:2], token_ids, pairs)
    assert traces.image.grid == (5, 5)
    assert traces.text.grid is None
    assert (traces.image.depth, traces.text.depth) == (4, 5)
    assert traces.image.content.tolist() == [[False] + [True] * 25] * 3
    words = {0: [0, 1, 1, 1, 1, 1, 0], 1: [0, 1, 1, 0, 0, 0, 0]}
    assert traces.text.content.int().tolist() == [words[phrase] for _, phrase in pairs]
    assert traces.text.readout.tolist() == [6, 3, 3]


def test_the_prior_of_each_pair_is_worked_out_once(model, pixels, token_ids, monkeypatch):
    placement = Placement.fit((35, 35), (35, 35), (7, 7), "squash")
    contexts = [ImageContext(parse(text), placement) for text in ("right apex", "left base", "")]
    trace = record(model, pixels, token_ids, contexts=contexts).image
    first = trace.priors("box", "patient")
    assert [prior.neutral for prior in first] == [False, False, True]
    for prior, context in zip(first, contexts, strict=True):
        assert np.array_equal(prior.values, context.prior("box", "patient").values)
    calls, work = [], ImageContext.prior
    monkeypatch.setattr(ImageContext, "prior", lambda self, *asked: calls.append(asked) or work(self, *asked))
    assert trace.priors("box", "patient") is first
    trace.priors("gaussian", "patient")
    assert calls == [("gaussian", "patient", False)] * 3
    assert record(model, pixels, token_ids).image.priors("box", "patient") == []


def test_several_texts_on_one_image_get_the_gradients_of_all_tokens_each_gets_alone(model, pixels, token_ids):
    pairs = [(0, 0), (0, 1), (1, 2), (0, 2)]
    shared = record(model, pixels[:2], token_ids, pairs).image
    for number, (i, t) in enumerate(pairs):
        alone = record(model, pixels[i : i + 1], token_ids[t : t + 1]).image
        exact(shared.gradient_rows(1)[number], alone.gradient_rows(1)[0])
        exact(shared.gradient_hidden(2)[number], alone.gradient_hidden(2)[0])
        exact(shared.embedding[number], alone.embedding[0])


@pytest.mark.parametrize("first", [0, 3])
def test_running_the_same_blocks_again_changes_nothing(model, pixels, token_ids, first):
    pairs = [(0, 0), (1, 2), (0, 2)]
    trace = record(model, pixels[:2], token_ids, pairs, image_gradient_blocks=4).image
    again = trace.rerun(model.image, first)
    exact(again.score, trace.score)
    for layer in range(4):
        exact(again.gradient(layer), trace.gradient(layer))
        exact(again.attention_row(layer), trace.attention_row(layer))


def test_further_phrases_are_read_on_the_text_tower_of_either_trace(model, pixels, token_ids):
    traces = record(model, pixels, token_ids)
    expected = run(model.text, torch.tensor([[BOS, 7, EOS], [BOS, EOS, 0]])).embedding
    for trace in (traces.image, traces.text):
        exact(trace.embed_text((BOS, 7, EOS)), expected[0])
        exact(trace.embed_text(""), expected[1])
        with pytest.raises(matex.InputError, match="tokenizer"):
            trace.embed_text("opacity")
    with pytest.raises(ValueError, match=r"made by matex\.record"):
        Trace(run(model.image, pixels), torch.arange(3), traces.text.embedding).embed_text("")


def test_padding_behind_the_end_token_is_never_attended_to(model, pixels, token_ids):
    trace = record(model, pixels, token_ids).text
    assert (trace.attention_row(0)[1][:, 4:] == 0).all()
    exact(trace.attention_row(0).sum(-1), torch.ones(3, 2, dtype=torch.float64))


def test_the_towers_give_the_models_own_embeddings(module, pixels, token_ids):
    model = adapt(module, "small", preprocessing=None, tokenizer=None)
    with torch.no_grad():
        output = module(pixel_values=pixels, input_ids=token_ids)
    exact(run(model.image, pixels).embedding, output.image_embeds)
    exact(run(model.text, token_ids).embedding, output.text_embeds)
    exact(matex.score(model, pixels, token_ids), output.image_embeds @ output.text_embeds.T)


def test_the_old_end_token_id_reads_out_at_the_largest_id(pixels, token_ids):
    module = small_clip(eos=2)
    model = adapt(module, "old", preprocessing=None, tokenizer=None)
    with torch.no_grad():
        expected = module(pixel_values=pixels, input_ids=token_ids).text_embeds
    exact(run(model.text, token_ids).embedding, expected)


def test_an_image_of_another_shape_is_read_with_interpolated_positions(model, module):
    pixels = torch.randn(1, 3, 28, 49, dtype=torch.float64)
    with torch.no_grad():
        features = module.get_image_features(pixels, interpolate_pos_encoding=True).pooler_output
    exact(run(model.image, pixels).embedding, torch.nn.functional.normalize(features, dim=-1))
    assert model.image.axis(pixels).grid == (4, 7)


def test_gradients_below_the_announced_blocks_are_found_all_the_same(model, pixels, token_ids):
    announced = record(model, pixels, token_ids, image_gradient_blocks=4).image
    surprised = record(model, pixels, token_ids).image
    for layer in (3, 0, 1):
        exact(surprised.gradient(layer), announced.gradient(layer))
    exact(surprised.gradient(-1), announced.gradient(3))


def test_nothing_below_the_announced_blocks_is_on_the_graph(model, pixels):
    seen = run(model.image, pixels, gradient_blocks=2)
    assert [attended.output.requires_grad for attended in seen.attended] == [False, False, True, True]
    assert not run(model.image, pixels).embedding.requires_grad


def test_several_texts_share_one_image_pass(model, pixels, token_ids, monkeypatch):
    calls = started(monkeypatch, model.image)
    pairs = [(0, 0), (0, 1), (1, 2), (0, 2)]
    shared = record(model, pixels[:2], token_ids, pairs, image_gradient_blocks=3, text_gradient_blocks=3)
    assert calls == [2]
    for number, (i, t) in enumerate(pairs):
        alone = record(model, pixels[i : i + 1], token_ids[t : t + 1], image_gradient_blocks=3)
        exact(shared.image.score[number], alone.image.score[0])
        for layer in (1, 2, 3):
            exact(shared.image.gradient(layer)[number], alone.image.gradient(layer)[0])
            exact(shared.image.attention_row(layer)[number], alone.image.attention_row(layer)[0])
        exact(shared.text.gradient(4)[number], alone.text.gradient(4)[0])


def test_many_texts_on_one_image_get_the_gradients_each_gets_alone(model, pixels, token_ids):
    pairs = [(1, 0), (0, 2)] + [(1, 1)] * 9 + [(1, 2)]  # more backwards than run side by side at a time
    many = record(model, pixels[:2], token_ids, pairs, image_gradient_blocks=2).image
    for number in (0, 1, 5, 11):
        i, t = pairs[number]
        alone = record(model, pixels[i : i + 1], token_ids[t : t + 1], image_gradient_blocks=2).image
        exact(many.gradient(2)[number], alone.gradient(2)[0])


def test_other_pixels_and_tokens_can_be_scored(model, pixels, token_ids):
    trace = record(model, pixels, token_ids)
    exact(trace.image.scores(pixels[1:], item=2), matex.score(model, pixels[1:], token_ids[2:]))
    exact(trace.text.scores(token_ids[:2], item=1)[:, 0], matex.score(model, pixels[1:2], token_ids[:2])[0])
    several = record(model, pixels, token_ids, [(1, 0), (0, 2), (1, 1)]).image
    exact(several.scores(pixels, item=1), matex.score(model, pixels, token_ids[:2]))


@pytest.mark.parametrize("layer", [0, 2, 3])
def test_a_tower_continues_from_replaced_hidden_states(model, pixels, token_ids, layer):
    trace = record(model, pixels, token_ids).image
    state = trace.state(layer).select(torch.ones(5, dtype=torch.long))
    hidden = state.hidden.clone().requires_grad_()
    scores = trace.embed_state(layer, replace(state, hidden=hidden)) @ trace.target[1]
    exact(scores, trace.score[1].expand(5))
    (gradient,) = torch.autograd.grad(scores.sum(), hidden)
    step = torch.randn(hidden.shape[1:], dtype=torch.float64) * 1e-6
    with torch.no_grad():
        moved = trace.embed_state(layer, replace(state, hidden=hidden + step)) @ trace.target[1] - scores
    torch.testing.assert_close(moved[0], (gradient[0] * step).sum(), rtol=1e-3, atol=1e-12)


def test_hidden_states_of_several_pairs_are_embedded_at_once(model, pixels, token_ids):
    trace = record(model, pixels, token_ids).text
    embedding = trace.embed_state(2, trace.state(2))
    exact((embedding * trace.target).sum(-1), trace.score)


def test_the_target_can_be_seen_token_by_token(module, model, pixels, token_ids):
    """METHODS 4.2: patches through LN_post and the projection, words and EOS through theirs."""
    pairs = [(2, 0), (0, 1), (1, 0)]
    traces = record(model, pixels, token_ids, pairs)
    with torch.no_grad():
        vision = module.vision_model(pixels).last_hidden_state
        patches = module.visual_projection(module.vision_model.post_layernorm(vision))
        words = module.text_projection(module.text_model(token_ids).last_hidden_state)
    for trace, every, which, readout in ((traces.text, patches, 0, 0), (traces.image, words, 1, -1)):
        for special in (True, False):
            tokens, counts = trace.target_tokens(readout=special)
            for number, pair in enumerate(pairs):
                expected = torch.nn.functional.normalize(every[pair[which]], dim=-1)
                if which == 1:
                    expected = expected[1 : token_ids[pair[1]].tolist().index(EOS) + special]
                elif not special:
                    expected = expected[1:]
                exact(tokens[number][counts[number]], expected)
                if special:
                    exact(tokens[number][counts[number]][readout], trace.target[number])
    assert traces.image.logit_scale == pytest.approx(module.logit_scale.exp().item())
    alone = Trace(run(model.image, pixels), torch.arange(3), traces.image.target)
    with pytest.raises(RuntimeError, match=r"matex\.record"):
        alone.target_tokens(readout=True)


def test_what_was_worked_out_once_is_kept(model, pixels, token_ids):
    trace, calls = record(model, pixels, token_ids).image, []
    assert [trace.memo("a", lambda: calls.append(0) or 7) for _ in range(2)] == [7, 7]
    assert trace.memo("b", lambda: 8) == 8
    assert calls == [0]


def test_the_model_is_left_as_it_was_found(module, pixels, token_ids):
    module.train()
    module.set_attn_implementation("eager")
    module.visual_projection.weight.requires_grad_(False)
    before = {name: (value.requires_grad, value.clone()) for name, value in module.named_parameters()}
    model = adapt(module, "small", preprocessing=None, tokenizer=None)
    trace = record(model, pixels, token_ids, image_gradient_blocks=2)
    trace.image.gradient(0)
    with pytest.raises(matex.InputError):
        trace.image.gradient(9)
    assert all(part.training for part in module.modules())
    assert module.config._attn_implementation == "eager"
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in module.modules())
    for name, value in module.named_parameters():
        assert value.requires_grad == before[name][0]
        assert value.grad is None
        assert torch.equal(value, before[name][1])


def test_the_callers_no_grad_and_inference_mode_do_not_matter(model, pixels, token_ids):
    expected = record(model, pixels, token_ids, image_gradient_blocks=1).image.gradient(3)
    with torch.no_grad():
        exact(record(model, pixels, token_ids, image_gradient_blocks=1).image.gradient(3), expected)
    with torch.inference_mode():
        exact(
            record(model, pixels.clone(), token_ids.clone(), image_gradient_blocks=1).image.gradient(0)[..., 0],
            record(model, pixels, token_ids).image.gradient(0)[..., 0],
        )


def test_two_threads_share_a_model(model, pixels, token_ids):
    expected = [record(model, pixels[i : i + 1], token_ids[i : i + 1]).image.gradient(1) for i in range(3)]
    wrong = []

    def work(i):
        for _ in range(10):
            found = record(model, pixels[i : i + 1], token_ids[i : i + 1], image_gradient_blocks=3).image.gradient(1)
            if not torch.allclose(found, expected[i], atol=1e-12):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_model_with_missing_blocks_is_refused(module):
    del module.vision_model.encoder.layers[2]
    with pytest.raises(UnsupportedModel, match="Expected 4 blocks as the configuration says, got 3"):
        adapt(module, "small", preprocessing=None, tokenizer=None)


def test_images_and_phrases_must_pair_up(model, pixels, token_ids):
    with pytest.raises(ValueError, match=r"as many phrases as images \(3\), got 2"):
        record(model, pixels, token_ids[:2])


def test_arranging_drops_cls_and_keeps_rows_before_columns(model, token_ids):
    pixels = torch.randn(1, 3, 14, 28, dtype=torch.float64)
    trace = record(model, pixels, token_ids[:1]).image
    numbers = torch.arange(9, dtype=torch.float64)[None]
    exact(trace.to_grid(numbers)[0], torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]], dtype=torch.float64))


def test_half_precision_is_explained_in_float32(module, pixels, token_ids):
    model = adapt(module.bfloat16(), "half", preprocessing=None, tokenizer=None)
    trace: Trace = record(model, pixels.bfloat16(), token_ids, image_gradient_blocks=2).image
    assert trace.gradient(2).dtype == trace.attention_row(0).dtype == trace.score.dtype == torch.float32
    assert isinstance(module, CLIPModel)


@pytest.mark.parametrize("layer", [4, -5])
def test_a_block_that_is_not_there_is_refused_in_one_line(model, pixels, token_ids, layer):
    trace = matex.record(model, pixels, token_ids).image
    for read in (
        trace.query, trace.queries, trace.key, trace.value, trace.outputs, trace.attention_row, trace.attention,
        trace.gradient, trace.gradient_rows, trace.gradient_hidden, trace.gradient_normed, trace.hidden, trace.normed,
    ):  # fmt: skip
        with pytest.raises(
            matex.InputError, match=f"Expected layer from -4 to 3 on this tower of 4 blocks, got {layer}"
        ):
            read(layer)

from matex.phrases import Mention, parse
from matex.render.panel import describe_mention, format_word_scores, layers, panel, places
from tests.fake_explanation import blob, fake, film


def test_layers_are_the_terms_and_the_prior():
    names = [layer.name for layer in layers(fake())]
    assert names == [
        "Gradient",
        "Attention flow",
        "Consistent gradient",
        "Gradient under the prior",
        "Prior M",
    ]
    plain = fake(components={}, weights={}, prior=None)
    assert layers(plain) == ()
    signed = fake(components={"a": blob(0.4, 0.4, 0.1) - 0.3, "b": blob(0.4, 0.4, 0.1)}, weights={}, prior=None)
    assert [layer.scale.signed for layer in layers(signed)] == [True, False]
    other = fake(components={"my-term": blob(0.5, 0.5, 0.1)}, weights={}, prior=None)
    assert layers(other)[0].name == "My term"


def test_mentions_are_worded_in_one_place():
    plain, past = (
        Mention("base", 0, 4, "base", None, False, False, False, 1.0),
        Mention("left base", 0, 9, "base", "left", True, False, True, 0.0),
    )
    assert describe_mention(plain) == ("base", "no side", "stated")
    assert describe_mention(past) == ("base", "patient's left", "negated and historical")


def test_regions_read_from_the_same_words_share_a_row():
    effusion = parse("left pleural effusion, no nodule in the right upper lobe")
    assert places(effusion) == [
        ("left pleural effusion", "lower zone and costophrenic angle", "patient's left", "stated", "1"),
        ("right upper lobe", "upper lobe", "patient's right", "negated", "0"),
    ]


def test_scores_of_words_are_told_as_finely_as_the_largest_needs():
    assert format_word_scores([1.014, 9.68e-5, -1e-4, -0.2]) == ["+1.01", "0.00", "0.00", "-0.20"]
    assert format_word_scores([0.0132, 0.0004, float("nan")]) == ["+0.0132", "+0.0004", "undefined"]
    assert format_word_scores([2e-7, -1e-7]) == ["+2.00e-07", "-1.00e-07"]


def test_places_that_do_not_fit_beside_a_wide_film_stand_under_it():
    many = parse("nodules in the right apex, left apex, right base, left base, lingula, RUL, LUL and RML")
    words = tuple((f"word{i}", i / 9) for i in range(16))
    wide = [panel(fake(film(400, 700), words=words, regions=regions)).height for regions in (many[:1], many)]
    assert wide[1] - wide[0] < 300  # in one column beside the words they would take 560 more

"""Names to things."""

from dataclasses import dataclass

import pytest

from matex.attribution import make
from matex.errors import InputError
from matex.metrics import make_metric
from matex.protocols import METHODS, Ablatable, stochastic
from matex.registry import Registry, UnknownName, build


def test_an_unknown_name_lists_the_known_ones_and_the_nearest():
    methods = Registry("method")
    methods("rollout")(1)
    methods("occlusion")(2)
    with pytest.raises(UnknownName) as caught:
        methods["rolout"]
    assert str(caught.value) == "Unknown method 'rolout'. Known: occlusion, rollout. Did you mean 'rollout'?"
    assert isinstance(caught.value, ValueError)


def test_a_name_is_given_once():
    methods = Registry("method")
    methods("rollout")(1)
    with pytest.raises(ValueError, match="taken"):
        methods("rollout")(2)
    assert list(methods) == ["rollout"]


@dataclass(frozen=True)
class Box:
    """For this file."""

    sides: tuple[float, ...]
    label: str = ""


def test_parameters_are_built_as_their_types_or_refused_in_one_line():
    shapes = Registry("shape")
    shapes("box")(Box)
    assert build(shapes, "box", {"sides": [1, 2]}, "docs show them") == Box((1.0, 2.0))
    for given, told in (
        ({"sides": 3}, "Expected sides to be a tuple of numbers, got 3."),
        ({"sides": [1], "label": None}, "Expected label to be text, got None."),
        ({"sides": ["a" * 999]}, f"Expected sides to be a tuple of numbers, got ['{'a' * 45}...{'a' * 28}']."),
        ({"label": "x"}, "Expected parameters of box as docs show them, got Box.__init__() missing 1 required"),
    ):
        with pytest.raises(InputError) as caught:
            build(shapes, "box", given, "docs show them")
        assert str(caught.value).startswith(told)
        assert "\n" not in str(caught.value)
    with pytest.raises(UnknownName, match=r"^Unknown parameter of box 'lable'\. Known: label, sides\."):
        build(shapes, "box", {"lable": "x"}, "docs show them")


@pytest.mark.parametrize(
    ("name", "parameters", "told"),
    [
        ("pointing", {"within": "near"}, "Expected within to be a whole number, got 'near'."),
        ("stability", {"batch_size": 2.5}, "Expected batch_size to be a whole number, got 2.5."),
        ("miou", {"thresholds": 20}, "Expected thresholds to be a tuple of numbers, got 20."),
        (
            "infidelity",
            {"sides": [0.1]},
            "Expected sides to be a tuple of 2 numbers, got [0.1].",
        ),
        ("confidence-text", {"blank_id": True}, "Expected blank_id to be a whole number or None, got True."),
    ],
)
def test_a_metrics_parameters_are_of_their_types(name, parameters, told):
    with pytest.raises(InputError) as caught:
        make_metric(name, parameters)
    assert str(caught.value) == told


def test_however_a_metric_is_given_it_is_the_same():
    assert hash(make_metric("infidelity", {"sides": [0.1, 1]})) == hash(
        make_metric("infidelity", {"sides": (0.1, 1.0)})
    )


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\nb", "", "  ", "\udc80", "\u202ename", "x" * 101, None, 5, b"a"])
def test_a_name_that_cannot_be_printed_is_not_registered(name):
    registry = Registry("thing")
    with pytest.raises(InputError, match="Expected the name of a thing as printable text") as caught:
        registry(name)(object())
    assert len(str(caught.value)) < 300
    assert not registry


def test_a_method_cannot_hide_an_argument_of_explain():
    @dataclass(frozen=True)
    class Hiding:
        resize: int = 3

    with pytest.raises(InputError, match="leave free, got 'resize'"):
        METHODS("hiding")(Hiding)
    assert "hiding" not in METHODS


def test_methods_say_what_depends_on_chance_and_what_can_be_taken_out():
    assert stochastic(make("rise", {}))
    assert not stochastic(make("mmel", {}))
    assert stochastic(make("mmel", {"mode": "paper"}))
    assert not stochastic(make("grad-eclip", {}))
    without = make("matex", {}).ablation()
    assert (without.name, without.changes) == ("no prior", {"prior_strength": 1.0})
    assert make("matex", {"delta": 0}).ablation() is None
    assert not isinstance(make("grad-eclip", {}), Ablatable)


def test_nothing_known_is_said_and_a_name_known_twice_is_listed_once():
    assert str(UnknownName("parameter of rollout", "layer", ())) == "Unknown parameter of rollout 'layer'. Known: none."
    assert str(UnknownName("method", "x", ("rise", "rise"))) == "Unknown method 'x'. Known: rise."

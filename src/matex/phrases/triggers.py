"""The table of triggers, in the manner of NegEx and ConText: a kind of word, a state, a direction with its reach.

Sources: NegEx (Chapman et al. 2001, doi:10.1006/jbin.2001.1029) and ConText (Harkema et al. 2009,
doi:10.1016/j.jbi.2009.05.002). A trigger puts the terms that it reaches into a state. The words of each kind are in
lexicon.py. Pseudo-triggers ("no change", "not resolved": kind "ignored") are longer phrases that contain a trigger;
since the longest phrase of the lexicon wins, they have no row here. What ends a scope (a new statement, "with", a
comma that continues no list) is part of its reach (reaches.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import cache
from typing import Literal

from matex.phrases import conditions, reaches
from matex.phrases.entities import Entities
from matex.phrases.normality import reach_of_normal
from matex.phrases.vocabulary import Kind, Kinds

State = Literal["negated", "normal", "uncertain", "historical"]
Condition = Callable[[Entities, int], bool]
Reach = Callable[[Entities, int, Set[int]], Iterable[int]]
"""(entities, position of the trigger, terms in this state already) -> the terms that the trigger reaches."""


@dataclass(frozen=True)
class Trigger:
    """One scope that a word opens."""

    state: State
    reach: Reach
    when: Condition = conditions.always


TRIGGERS: Mapping[Kind, tuple[Trigger, ...]] = {
    # "free of effusion"
    "free of": (
        Trigger("normal", reaches.backward_over_findings),
        Trigger("negated", reaches.forward),
    ),
    # "clear", "unremarkable"
    "normal": (Trigger("normal", reach_of_normal),),
    # "has resolved", "not seen"
    "not behind": (
        Trigger("negated", reaches.backward_over_findings, conditions.denies_before),
        Trigger("negated", reaches.forward, conditions.denies_after),
        Trigger("negated", reaches.subject_without_findings, conditions.leads),
    ),
    # "no", "without"
    "not": (
        Trigger("negated", reaches.forward_of_denial),
        Trigger("negated", reaches.subject_without_findings, conditions.can_deny_subject),
    ),
    # "cannot be excluded"
    "uncertain behind": (
        Trigger("uncertain", reaches.backward_over_findings),
        Trigger("uncertain", reaches.forward),
    ),
    # "possible", "may"
    "uncertain": (
        Trigger("uncertain", reaches.sentence, conditions.is_last_question_mark),
        Trigger("uncertain", reaches.backward_over_findings, conditions.ends_statement),  # "left effusion possible"
        Trigger("uncertain", reaches.doubted_subject, conditions.is_verb_of_doubt),
        Trigger("uncertain", reaches.forward),
    ),
    # "status post", "history of"
    "historical": (Trigger("historical", reaches.forward_without_lists),),
    # "lobectomy"
    "surgery": (Trigger("historical", reaches.backward_to_noun),),
}
"""Kind of word -> its scopes. A word of several kinds is a trigger of the first of them."""


@cache
def triggers_of(kinds: Kinds) -> tuple[Trigger, ...]:
    """The scopes that a word of these kinds opens, in order."""
    return next((triggers for kind, triggers in TRIGGERS.items() if kind in kinds), ())

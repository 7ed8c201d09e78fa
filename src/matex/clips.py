"""Recordings longer than ImageBind's two seconds, as in its original code: three clips, scores averaged.

The average of the clips' embeddings is not normalised again, so that its product with another embedding is the mean of
the clips' scores: each clip contributes a third of the score, and its map explains that third.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matex.adapters.model import Model
from matex.adapters.sound import SoundPreprocessing
from matex.audio.imagebind import ImageBindSpectrogram, clips
from matex.audio.recording import Recording, read_sound
from matex.checks import as_path
from matex.encoder_choice import Target
from matex.errors import UnsupportedModel
from matex.pipeline import explain
from matex.request_checks import check_request
from matex.results import Explanation

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class Clips:
    """Explanations of the clips of one recording.

    Args:
        recording: the complete sound.
        explanations: one per different clip, in order of time; `explanation.film.recording.start` says where it begins.
    """

    recording: Recording
    explanations: tuple[Explanation, ...]

    @property
    def score(self) -> float:
        """Mean of the clips' scores: the product of ImageBind's averaged embedding with the other one."""
        return sum(one.score for one in self.explanations) / len(self.explanations)

    def picture(self) -> Image.Image:
        """The clips with their maps on one time axis and one colour scale."""
        from matex.render.clips import draw_clips

        return draw_clips(self.recording, self.explanations, self.score)

    def save(self, folder: str | Path) -> Path:
        """Write a folder for each clip, named after its start, and a page about all of them."""
        from matex.render.report import page
        from matex.render.save import save_run

        named = {f"{start(one):06.2f}s": one for one in self.explanations}
        lead = f"ImageBind averages the scores of these clips of {self.recording.seconds:.3g} s: {self.score:.3f}."
        html = page(list(named.values()), f"“{self.explanations[0].text}”: clips of {self.recording.name}", lead)
        return save_run(named, as_path(folder, "a folder to write to"), html)


def explain_clips(
    model: Model, sound: str | Path | Recording, text: Target, method: str = "matex", **settings: Any
) -> Clips:
    """Explain the three clips of a recording whose scores ImageBind's own code averages.

    They begin at 0, 1/3 and 2/3 of the latest start that there could be and may overlap; a recording of two seconds or
    less is one clip.

    Args:
        model: an ImageBind.
        sound: path of a file, or a recording of `matex.read_sound`; its `start` is not read.
        text: the phrase, or what else `matex.explain` compares with.
        method: a name of `matex.methods()`.
        **settings: of `matex.explain` and of the method.

    Raises:
        UnsupportedModel: a model with another spectrogram; CLAP hears ten seconds and averages nothing.
        InputError: as `matex.explain`.
    """
    check_request(model, text, method)
    preprocessing = model.preprocessing_of("audio") if "audio" in model.encoders else None
    if not isinstance(preprocessing, SoundPreprocessing) or not isinstance(preprocessing.kind, ImageBindSpectrogram):
        raise UnsupportedModel(
            f"Expected an ImageBind, whose own code averages clips, got {model.name!r}. Use matex.explain, and "
            "matex.read_sound(path, start=...) for another part."
        )
    recording = sound if isinstance(sound, Recording) else read_sound(sound)
    different: Mapping[float, Recording] = {clip.start: clip for clip in clips(recording)}
    return Clips(recording, tuple(explain(model, clip, text, method, **settings) for clip in different.values()))


def start(explanation: Explanation) -> float:
    """Start of an explanation's clip, seconds."""
    from matex.audio.sound import Sound

    assert isinstance(explanation.film, Sound)
    return explanation.film.recording.start

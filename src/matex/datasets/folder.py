"""A folder of images, with a text file for each or one phrase for all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matex.datasets.layout import Layout, Reading, identity
from matex.datasets.pictures import SUFFIXES, contained
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, Unusable, clean, leaving_out, read_lines
from matex.domains import check_domain
from matex.errors import InputError


@DATASETS("folder")
@dataclass(frozen=True)
class Folder(Layout):
    """Every image under the folder. Each line of film.txt is a phrase for film.png.

    Args:
        root: the folder; folders in it are searched too, and the first of them is the group.
        phrase: for all images, instead of text files.
        domain: a name or file of `matex domains`.
    """

    root: Path
    phrase: str | None = None
    domain: str = "chest"

    def __post_init__(self) -> None:
        check_domain(self.domain)
        if self.phrase is not None and not self.phrase.strip():
            raise InputError("Expected a phrase, got an empty one. Leave it out to read text files.")

    def read(self) -> Reading:
        problems: list[Problem] = []
        samples: list[Sample] = []
        for path in sorted(self.root.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                name = path.relative_to(self.root)
                with leaving_out(Row(name.as_posix(), 1, {}), problems):
                    samples += [
                        Sample(
                            id=identity("folder", name.as_posix(), phrase),
                            image=contained(self.root, path),
                            text=phrase,
                            group=name.parts[0] if len(name.parts) > 1 else "",
                        )
                        for phrase in self._phrases(path)
                    ]
        return Reading(samples, problems)

    def _phrases(self, path: Path) -> list[str]:
        if self.phrase is not None:
            return [clean(self.phrase)]
        text_file = path.with_suffix(".txt")
        if not text_file.is_file():
            raise Unusable(f"Expected its phrases in {text_file.name}, found no such file. Write it or set phrase.")
        try:
            phrases = [found for _, line in read_lines(contained(self.root, text_file)) if (found := clean(line))]
        except InputError as error:
            raise Unusable(str(error)) from None
        if not phrases:
            raise Unusable(f"Expected a phrase in {text_file.name}, got an empty file.")
        return list(dict.fromkeys(phrases))

"""Reader studies: blinded pages of maps with a form, and the agreement of the readers' answers."""

from matex.reader_study.analysis import Analysis, analyse
from matex.reader_study.study import Study, make_study

__all__ = ["Analysis", "Study", "analyse", "make_study"]

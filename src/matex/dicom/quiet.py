"""Suppression of the DICOM libraries' warnings, logs and exceptions, which can quote elements."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager

LIBRARIES = ("pydicom", "highdicom", "dicomweb_client", "urllib3")


@contextmanager
def quiet() -> Generator[None]:
    """Suppress warnings and logs of the DICOM libraries.

    Warning filters and loggers belong to the whole process: callers that threads may share hold `matex.images.FILTERS`.
    `matex.dicom.web`, which would hold it for minutes, serves the command line, where one thread runs.
    """
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

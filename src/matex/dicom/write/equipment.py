"""Attributes shared by all objects of one export: new series, software, the mark of research."""

from __future__ import annotations

from typing import TypedDict

from pydicom import Dataset
from pydicom.uid import generate_uid

from matex.dicom.write.saliency import DISCLAIMER, SaliencyContent

MAKER = "matex"
FIRST_SERIES = 9000  # beyond the numbers that modalities give


def new_uid() -> str:
    """A UID from a random UUID (PS3.5 B.2), which needs no registered root."""
    return generate_uid(prefix=None)


class Identity(TypedDict):
    """Arguments with which highdicom makes an instance in a series of its own."""

    series_instance_uid: str
    series_number: int
    sop_instance_uid: str
    instance_number: int
    manufacturer: str
    manufacturer_model_name: str
    software_versions: str
    device_serial_number: str
    series_description: str


def identity(saliency: SaliencyContent, number: int) -> Identity:
    """Arguments with which highdicom makes an instance in a series of its own."""
    return {
        "series_instance_uid": new_uid(),
        "series_number": FIRST_SERIES + number,
        "sop_instance_uid": new_uid(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": saliency.version,
        "device_serial_number": saliency.weights_sha256[:64] or "unknown",
        "series_description": f"{saliency.method}: saliency (research, not for diagnosis)"[:64],
    }


def mark_as_research(target: Dataset) -> None:
    """Content Qualification RESEARCH (PS3.3 C.8.13.2.1.1), and the disclaimer where readers look for comments."""
    target.ContentQualification = "RESEARCH"
    target.ImageComments = DISCLAIMER

"""Reading of images: a file, an array or a Pillow image becomes a Film, ready for display, or is refused.

Everything behind it works on 8-bit pixels in the display sense; the notes say what was done to get there.
"""

from matex.errors import InputError
from matex.images.contents import begins_as_sound, is_dicom
from matex.images.files import read, read_bytes
from matex.images.film import Film
from matex.images.grey_values import block_means
from matex.images.limits import MAX_BYTES, MAX_PIXELS, MAX_WHOLE, MIN_SIDE, READ_SIDE
from matex.images.pillow import FILTERS

__all__ = [
    "FILTERS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_WHOLE",
    "MIN_SIDE",
    "READ_SIDE",
    "Film",
    "InputError",
    "begins_as_sound",
    "block_means",
    "is_dicom",
    "read",
    "read_bytes",
]

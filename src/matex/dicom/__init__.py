"""DICOM input and output; only the modules of this package import pydicom (extra `dicom`)."""

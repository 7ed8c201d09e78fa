"""DICOM in and out; pydicom is imported by the modules in this room only (extra `dicom`)."""

"""Notes of a DICOM header that hold for chest films alone; where another domain is declared they say nothing."""

OTHER_MODALITY = ": CR, DX, DR or RG expected"
"""How the note on a modality ends."""
OTHER_PART = "BodyPartExamined is not the chest"

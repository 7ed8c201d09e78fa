"""DICOM objects of a saliency map: one file per object, plain data in, data sets out.

The objects belong to the study of the film that was explained. Nothing here reads an explanation: matex.dicom_export
joins the two.
"""

"""Comprehensive SR by TID 1500: phrase, score, words, audit verdict and the highlighted regions, in codes."""

from __future__ import annotations

import math
from typing import TypeAlias

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    ImageRegion,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from matex.dicom.write import codes as concepts
from matex.dicom.write.contours import Polygon, area, outlines
from matex.dicom.write.equipment import MAKER, Identity, new_uid
from matex.dicom.write.saliency import DISCLAIMER, SaliencyContent
from matex.dicom.write.source import Source

REGIONS = 10  # that a report lists, the largest
PROCEDURE = Code("399208008", "SCT", "Plain chest X-ray")


Group: TypeAlias = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations


def report(source: Source, saliency: SaliencyContent, identity: Identity) -> Dataset:
    """The explanation as an imaging measurement report (PS3.3 A.35.3, PS3.16 TID 1500).

    One group for the film (TID 1501) and one for each highlighted region (TID 1410), the largest first.
    """
    algorithm = concepts.algorithm_content(saliency)
    film = source.template()
    groups: list[Group] = [_film_group(film, saliency, algorithm)]
    polygons = [polygon for polygon in outlines(saliency.known, saliency.threshold) if area(polygon) > 0]
    groups += [
        _region_group(film, saliency, algorithm, number, polygon)
        for number, polygon in enumerate(polygons[:REGIONS], start=1)
    ]
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=new_uid(), name=MAKER, manufacturer_name=MAKER, model_name=f"{MAKER} {saliency.version}"
        ),
    )
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=PROCEDURE,
        imaging_measurements=groups,
        title=codes.cid7021.ImagingMeasurementReport,
    )
    document = ComprehensiveSR(
        evidence=[film],
        content=content[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **identity,
    )
    document.PreliminaryFlag = "PRELIMINARY"
    document.CompletionFlagDescription = "Research, not for diagnosis"
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = concepts.SCHEME, "Concepts of matex"
    document.CodingSchemeIdentificationSequence = [scheme]
    return source.adopt(document)


def _film_group(
    film: Dataset, saliency: SaliencyContent, algorithm: AlgorithmIdentification
) -> MeasurementsAndQualitativeEvaluations:
    """Phrase, score, words, yardstick and verdict."""
    audit = saliency.audit
    measurements = _number(concepts.SIMILARITY, saliency.score)
    for word, score in saliency.words:
        measurements += _number(concepts.WORD, score, word)
    if audit is not None:
        measurements += _number(concepts.PRIOR_SHARE, audit.prior_share)
        for control, phrase, score in audit.yardstick:
            measurements += _number(concepts.CONTROL, score, f"{control}: {phrase}")
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=new_uid(), identifier="film"),
        algorithm_id=algorithm,
        finding_type=concepts.SALIENCY,
        source_images=[SourceImageForMeasurementGroup.from_source_image(film)],
        measurements=measurements,
        qualitative_evaluations=[
            QualitativeEvaluation(concepts.VERDICT, concepts.VERDICTS["none" if audit is None else audit.state])
        ],
    )
    texts = [(concepts.PURPOSE, DISCLAIMER), (concepts.PHRASE, saliency.phrase)]
    texts += [(concepts.PLACE, place) for place in saliency.places]
    if audit is not None:
        texts.append((concepts.SUMMARY, audit.summary))
    for name, text in texts:
        group[0].ContentSequence.append(TextContentItem(name, text, RelationshipTypeValues.CONTAINS))
    return group


def _region_group(
    film: Dataset, saliency: SaliencyContent, algorithm: AlgorithmIdentification, number: int, polygon: Polygon
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """One highlighted region with its share of the film."""
    region = ImageRegion("POLYLINE", polygon, source_image=SourceImageForRegion.from_source_image(film))
    share = area(polygon) / (film.Rows * film.Columns)
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=new_uid(), identifier=f"region {number} {saliency.region}"),
        referenced_region=region,
        algorithm_id=algorithm,
        finding_type=concepts.SALIENCY,
        measurements=_number(concepts.AREA_SHARE, share),
    )


def _number(name: Code, value: float, identifier: str | None = None) -> list[Measurement]:
    """A measurement; none for an undefined value, which a decimal string cannot hold."""
    if not math.isfinite(value):
        return []
    tracking = None if identifier is None else TrackingIdentifier(uid=new_uid(), identifier=identifier)
    concept = CodedConcept(name.value, name.scheme_designator, name.meaning)
    return [Measurement(concept, float(f"{value:.6g}"), concepts.NO_UNITS, tracking_identifier=tracking)]

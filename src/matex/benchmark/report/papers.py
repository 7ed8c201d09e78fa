"""Numbers that the papers print, as data: quoted next to a run, never a target to reproduce.

Every number stands as printed, with its paper, table, row and column. The papers used other models and other data than
a run of ours, so no difference between a quoted and a measured number means anything about a method. `DEFECTS` says
what is known to be wrong with the tables; the report prints it under each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matex.benchmark.report.section import Better


@dataclass(frozen=True)
class PublishedColumn:
    """One column of a printed table.

    Args:
        group: heading over several columns, as printed; empty where there is none.
        label: heading, as printed but for its arrow.
        better: which way the arrow points.
        metric: our metric that measures the same thing.
        column: column of our metric.
        setting: parameter that our metric must have been run with, and its value; None where any will do.
    """

    group: str
    label: str
    better: Better
    metric: str
    column: str
    setting: tuple[str, str] | None = None


@dataclass(frozen=True)
class PublishedRow:
    """One method's numbers.

    Args:
        label: the method's name, as printed.
        methods: our registered names for it; empty where the paper does not say what it is.
        printed: one number per column as the paper prints it, ± and its error behind it where there is one.
    """

    label: str
    methods: tuple[str, ...]
    printed: str

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers, one per column."""
        return tuple(float(cell.partition("±")[0]) for cell in self.printed.split())


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper.

    Args:
        key: name of the table in this file, in report.csv and in links.
        paper: name of the method that the paper is about.
        source: where it can be found.
        number: of the table in the paper.
        model: that the numbers were measured on.
        data: that the numbers were measured on.
        error: what the paper says stands behind ±; empty where it prints none or does not say.
        across: True when the methods are printed as columns.
        defects: keys of `DEFECTS` that concern this table.
    """

    key: str
    paper: str
    source: str
    number: str
    model: str
    data: str
    error: str
    across: bool
    columns: tuple[PublishedColumn, ...]
    rows: tuple[PublishedRow, ...]
    defects: tuple[str, ...]


DEFECTS: Mapping[str, str] = {
    "direction": (
        "The paper's text describes Confidence Drop the wrong way round (as masking what is salient). Its formula,"
        " and our number, keep what is salient: lower is better."
    ),
    "units": (
        "Printed with a % sign (CA-M2IB's table, MATEX's text) or with none (MMEL), yet the drop is an absolute "
        'difference of cosine similarity times 100: "0.51" is 0.0051 of cosine. Increase is a percentage of samples.'
    ),
    "diffuse": (
        "Drop and Increase reward diffuse maps: an all-bright map has a drop of 0. Our tables put a uniform and a "
        "random map with every method; the papers have no such control."
    ),
    "first-row": (
        "M2IB's public evaluation script, which these baselines probably come from, passes the map without a batch"
        " axis, so that its first row is stretched over the whole image. Whether the printed numbers used it is "
        "unknown."
    ),
    "text-script": (
        "The same script encodes the phrase without its begin and end tokens and replaces words by the token '!', "
        "so its text numbers do not measure what is described. Ours keep both tokens and delete the words."
    ),
    "common-source": (
        "On MS-CXR, CA-M2IB's six baselines equal MATEX's times about 1.02 in every higher-is-better number, most "
        "standard errors included; on Conceptual Captions the same holds between CA-M2IB's and MMEL's increases, "
        "with one exception (M2IB on text, 39.30 and 35.88). A constant factor over unrelated methods suggests one"
        " common source rather than independent measurements."
    ),
    "roar-settings": (
        "ROAR+ is by how many percent the validation loss rises when the model is retrained; optimiser, learning rate, "
        "number of epochs and batch size are not given. Ours are in the run's configuration, and the same for every "
        "method."
    ),
    "iou-threshold": (
        "The threshold of 75 % has two readings, a percentile of the pixels or a share of the maximum. Ours is the"
        " percentile unless the column says otherwise."
    ),
    "matex-localisation": ("The paper names Localization Accuracy as a metric and prints no number for it."),
    "matex-roar": (
        "The text says that MATEX outperforms M2IB; the table has M2IB ahead in image ROAR+ (38.7 and 37.9)."
    ),
    "matex-sides": (
        "The paper's formula for the prior puts the patient's right on the image's right, the opposite of a film "
        "as it is displayed; its numbers were presumably made with it."
    ),
    "chefer": (
        "The table cites the transformer attribution of Chefer et al. (CVPR 2021), the text their method for two "
        "modalities (ICCV 2021); only the latter exists for CLIP, and it is what we run."
    ),
    "mmel-claims": (
        "The text's claims contradict its tables: deletion 17.2 % lower than Grad-ECLIP (tables 2 and 3: by 0.2 to "
        "16.4 %), insertion 21.5 % better (tables: from 3.9 % worse to 15.4 % better), a confidence drop of 34.8 % "
        "where higher is better (table 1: 0.92, lower is better)."
    ),
    "mmel-marks": (
        "The paper's marks of the best numbers are not all right: for Insertion @5 it prints Grad-ECLIP2's 0.5993 in "
        "bold, below MMEL's 0.6001 and CLIPSurgery's 0.6021."
    ),
    "mmel-model": (
        "The text names ViT-B/32 and describes 197 tokens, which is ViT-B/16; the model's identifier that it gives"
        " does not exist."
    ),
    "grad-eclip-variants": (
        "Grad-ECLIP1 and Grad-ECLIP2 are not defined in the paper; we read them as without and with key similarity"
        " and compare our grad-eclip with the second."
    ),
    "deletion-protocol": (
        "The papers give no code for the area. The printed sizes show that the recorded points, about 5 to 50 % of"
        " the pixels, are rescaled to [0, 1]. Images there are classified among 1000 classes; on pairs without "
        "classes ours is the similarity itself, another quantity."
    ),
    "retrieval-protocol": (
        "No code and no description of the steps. Ours removes or adds 0, 10, ..., 100 % of the words and searches"
        " among this run's own images and phrases, so that the level depends on how many there are."
    ),
    "ca-m2ib-code": (
        "The file of the public repository that would implement the method is empty, so ours follows the text; "
        "layer and weights are M2IB's."
    ),
}
_MATEX = "arXiv:2601.11666"
_MMEL = "arXiv:2509.15243"
_CA_M2IB = "Bourigault et al., Multi-Modal Information Bottleneck Attribution with Cross-Attention Guidance"
_IMAGE_DROP = ("lower", "confidence-image", "drop")
_IMAGE_INCREASE = ("higher", "confidence-image", "increase")
_IMAGE_ROAR = ("higher", "roar-plus", "roar_image")
_IMAGE_IOU = ("higher", "iou", "iou")
_TEXT_DROP = ("lower", "confidence-text", "drop")
_TEXT_INCREASE = ("higher", "confidence-text", "increase")
_TEXT_ROAR = ("higher", "roar-plus", "roar_text")
TABLES: tuple[PublishedTable, ...] = (
    PublishedTable(
        key="matex-1",
        paper="MATEX",
        source=_MATEX,
        number="1",
        model="ViT-B/32 CLIP",
        data="MS-CXR",
        error="",
        across=False,
        columns=(
            PublishedColumn("", "Conf. Drop", *_IMAGE_DROP),
            PublishedColumn("", "Conf. Incr.", *_IMAGE_INCREASE),
            PublishedColumn("", "ROAR+", *_IMAGE_ROAR),
        ),
        rows=(
            PublishedRow("GradCAM", ("gradcam",), "2.76±0.03 12.64±0.46 3.54±0.80"),
            PublishedRow("Saliency", ("saliency",), "0.81±0.01 35.08±0.44 25.46±1.35"),
            PublishedRow("KS", ("kernel-shap",), "2.37±0.04 10.24±0.68 12.67±1.02"),
            PublishedRow("RISE", ("rise",), "3.94±0.03 7.28±0.44 16.79±0.76"),
            PublishedRow("Chefer et al.", ("chefer",), "1.87±0.02 21.44±0.46 24.42±1.19"),
            PublishedRow("M2IB", ("m2ib",), "0.55±0.01 45.92±0.70 38.7±0.86"),
            PublishedRow("MATEX", ("matex-paper", "matex"), "0.51±0.03 47.55±1.10 37.9±0.79"),
        ),
        defects=(
            "direction",
            "units",
            "diffuse",
            "first-row",
            "common-source",
            "roar-settings",
            "matex-roar",
            "matex-localisation",
            "matex-sides",
            "chefer",
        ),
    ),
    PublishedTable(
        key="matex-2",
        paper="MATEX",
        source=_MATEX,
        number="2",
        model="ViT-B/32 CLIP",
        data="MS-CXR",
        error="",
        across=False,
        columns=(
            PublishedColumn("", "Conf. Drop", *_TEXT_DROP),
            PublishedColumn("", "Conf. Incr.", *_TEXT_INCREASE),
            PublishedColumn("", "ROAR+", *_TEXT_ROAR),
        ),
        rows=(
            PublishedRow("GradCAM", ("gradcam",), "2.26±0.04 36.24±0.54 11.07±0.62"),
            PublishedRow("Saliency", ("saliency",), "3.35±0.03 18.88±0.54 15.79±0.92"),
            PublishedRow("KS", ("kernel-shap",), "2.40±0.05 34.12±0.77 14.28±1.09"),
            PublishedRow("RISE", ("rise",), "1.16±0.02 57.2±0.65 12.09±1.52"),
            PublishedRow("Chefer et al.", ("chefer",), "2.93±0.03 28.08±0.34 9.11±0.60"),
            PublishedRow("M2IB", ("m2ib",), "2.28±0.04 35.48±0.69 16.31±0.75"),
            PublishedRow("MATEX", ("matex-paper", "matex"), "1.91±0.06 50.07±0.46 16.98±0.66"),
        ),
        defects=("direction", "units", "text-script", "common-source", "roar-settings", "chefer"),
    ),
    PublishedTable(
        key="mmel-1",
        paper="MMEL",
        source=_MMEL,
        number="1",
        model="ViT-B/32 CLIP",
        data="Conceptual Captions",
        error="standard deviation over ten runs",
        across=False,
        columns=(
            PublishedColumn("CC Image", "Drop", *_IMAGE_DROP),
            PublishedColumn("CC Image", "Incr.", *_IMAGE_INCREASE),
            PublishedColumn("CC Text", "Drop", *_TEXT_DROP),
            PublishedColumn("CC Text", "Incr.", *_TEXT_INCREASE),
        ),
        rows=(
            PublishedRow("GradCAM", ("gradcam",), "4.96±0.01 17.84±0.08 2.19±0.01 29.71±0.19"),
            PublishedRow("Saliency", ("saliency",), "1.99±0.01 22.95±0.12 1.78±0.01 38.96±0.15"),
            PublishedRow("KS", ("kernel-shap",), "1.94±0.01 25.18±0.28 1.71±0.01 46.87±0.21"),
            PublishedRow("RISE", ("rise",), "1.12±0.01 35.72±0.14 1.30±0.01 38.31±0.48"),
            PublishedRow("Chefer et al.", ("chefer",), "1.63±0.01 37.41±0.12 1.06±0.01 38.42±0.11"),
            PublishedRow("M2IB", ("m2ib",), "1.11±0.01 41.55±0.19 1.06±0.01 35.88±0.20"),
            PublishedRow("MMEL", ("mmel",), "0.92±0.02 42.13±0.15 0.94±0.02 36.72±0.22"),
        ),
        defects=("units", "diffuse", "first-row", "text-script", "common-source", "mmel-claims", "mmel-model"),
    ),
    PublishedTable(
        key="mmel-2",
        paper="MMEL",
        source=_MMEL,
        number="2",
        model="CLIP",
        data="ImageNet validation",
        error="",
        across=False,
        columns=(
            PublishedColumn("Deletion", "@1", "lower", "deletion-insertion", "deletion_top1_auc", ("target", "truth")),
            PublishedColumn("Deletion", "@5", "lower", "deletion-insertion", "deletion_top5_auc", ("target", "truth")),
            PublishedColumn(
                "Prediction Deletion", "@1", "lower", "deletion-insertion", "deletion_top1_auc", ("target", "predicted")
            ),
            PublishedColumn(
                "Prediction Deletion", "@5", "lower", "deletion-insertion", "deletion_top5_auc", ("target", "predicted")
            ),
            PublishedColumn(
                "Insertion", "@1", "higher", "deletion-insertion", "insertion_top1_auc", ("target", "truth")
            ),
            PublishedColumn(
                "Insertion", "@5", "higher", "deletion-insertion", "insertion_top5_auc", ("target", "truth")
            ),
            PublishedColumn(
                "Prediction Insertion",
                "@1",
                "higher",
                "deletion-insertion",
                "insertion_top1_auc",
                ("target", "predicted"),
            ),
            PublishedColumn(
                "Prediction Insertion",
                "@5",
                "higher",
                "deletion-insertion",
                "insertion_top5_auc",
                ("target", "predicted"),
            ),
        ),
        rows=(
            PublishedRow("CLIPSurgery", ("clip-surgery",), "0.3115 0.5235 0.3217 0.5412 0.3832 0.6021 0.3727 0.5719"),
            PublishedRow("M2IB", ("m2ib",), "0.3630 0.5953 0.3633 0.5951 0.3351 0.5411 0.3347 0.5410"),
            PublishedRow("Grad-ECLIP1", (), "0.2535 0.4379 0.2634 0.4568 0.3715 0.5831 0.3528 0.5556"),
            PublishedRow("Grad-ECLIP2", ("grad-eclip",), "0.2464 0.4272 0.2543 0.4420 0.3838 0.5993 0.3672 0.5749"),
            PublishedRow("MMEL", ("mmel",), "0.2346 0.4097 0.2534 0.4389 0.3825 0.6001 0.3527 0.5661"),
        ),
        defects=("deletion-protocol", "grad-eclip-variants", "mmel-claims", "mmel-marks", "mmel-model"),
    ),
    PublishedTable(
        key="mmel-3",
        paper="MMEL",
        source=_MMEL,
        number="3",
        model="CLIP",
        data="MS COCO, Karpathy's test split",
        error="",
        across=False,
        columns=(
            PublishedColumn("Deletion", "IR", "lower", "retrieval", "deletion_ir1_auc"),
            PublishedColumn("Deletion", "TR", "lower", "retrieval", "deletion_tr1_auc"),
            PublishedColumn("Insertion", "IR", "higher", "retrieval", "insertion_ir1_auc"),
            PublishedColumn("Insertion", "TR", "higher", "retrieval", "insertion_tr1_auc"),
        ),
        rows=(
            PublishedRow("Raw Attention", ("raw-attention",), "0.2843 0.4917 0.0065 0.0328"),
            PublishedRow("Rollout", ("rollout",), "0.1221 0.2389 0.1052 0.2070"),
            PublishedRow("M2IB", ("m2ib",), "0.2139 0.4256 0.0063 0.0375"),
            PublishedRow("Grad-ECLIP1", (), "0.1116 0.2113 0.1123 0.2361"),
            PublishedRow("Grad-ECLIP2", ("grad-eclip",), "0.0996 0.1770 0.1292 0.2536"),
            PublishedRow("MMEL", ("mmel",), "0.0992 0.1766 0.1296 0.2560"),
        ),
        defects=("retrieval-protocol", "grad-eclip-variants", "mmel-claims", "mmel-model"),
    ),
    PublishedTable(
        key="ca-m2ib-1",
        paper="CA-M2IB",
        source=_CA_M2IB,
        number="1",
        model="ViT-B/32 CLIP (Conceptual Captions) and CXR-RePaiR (MS-CXR)",
        data="MS-CXR and Conceptual Captions",
        error="standard error over ten random seeds, five for ROAR+",
        across=True,
        columns=(
            PublishedColumn("MSCXR Image", "% Conf. Drop", *_IMAGE_DROP),
            PublishedColumn("MSCXR Image", "% Conf. Incr.", *_IMAGE_INCREASE),
            PublishedColumn("MSCXR Image", "% ROAR+", *_IMAGE_ROAR),
            PublishedColumn("MSCXR Image", "% Localization", *_IMAGE_IOU),
            PublishedColumn("MSCXR Text", "% Conf. Drop", *_TEXT_DROP),
            PublishedColumn("MSCXR Text", "% Conf. Incr.", *_TEXT_INCREASE),
            PublishedColumn("MSCXR Text", "% ROAR+", *_TEXT_ROAR),
            PublishedColumn("CC Image", "% Conf. Drop", *_IMAGE_DROP),
            PublishedColumn("CC Image", "% Conf. Incr.", *_IMAGE_INCREASE),
            PublishedColumn("CC Image", "% ROAR+", *_IMAGE_ROAR),
            PublishedColumn("CC Text", "% Conf. Drop", *_TEXT_DROP),
            PublishedColumn("CC Text", "% Conf. Incr.", *_TEXT_INCREASE),
            PublishedColumn("CC Text", "% ROAR+", *_TEXT_ROAR),
        ),
        rows=(
            PublishedRow(
                "GradCAM",
                ("gradcam",),
                (
                    "2.70±0.03 12.91±0.47 3.61±0.82 5.66±0.13 2.22±0.04 36.92±0.55 11.31±0.63 "
                    "4.81±0.01 18.18±0.08 2.35±0.42 2.14±0.01 30.34±0.19 44.32±0.67"
                ),
            ),
            PublishedRow(
                "Saliency",
                ("saliency",),
                (
                    "0.76±0.01 35.68±0.45 25.97±1.37 22.01±0.17 3.28±0.03 19.27±0.55 16.11±0.93 "
                    "1.93±0.01 23.47±0.12 7.01±0.90 1.73±0.01 39.51±0.15 44.83±0.66"
                ),
            ),
            PublishedRow(
                "K-SHAP",
                ("kernel-shap",),
                (
                    "2.30±0.04 10.45±0.69 12.92±1.03 7.92±0.14 2.35±0.05 34.68±0.78 14.53±1.11 "
                    "1.88±0.01 25.69±0.29 1.59±0.90 1.66±0.01 47.65±0.22 48.56±3.65"
                ),
            ),
            PublishedRow(
                "RISE",
                ("rise",),
                (
                    "3.85±0.03 7.42±0.45 17.11±0.77 11.19±0.24 1.13±0.02 58.34±0.66 12.33±1.54 "
                    "1.09±0.01 36.43±0.14 3.22±0.99 1.27±0.01 39.05±0.49 50.14±1.14"
                ),
            ),
            PublishedRow(
                "Chefer et al.",
                ("chefer",),
                (
                    "1.82±0.02 21.81±0.47 24.84±1.21 21.98±0.26 2.88±0.03 28.56±0.35 9.29±0.61 "
                    "1.58±0.01 38.13±0.12 7.79±0.56 1.03±0.01 39.17±0.11 54.68±1.27"
                ),
            ),
            PublishedRow(
                "M2IB",
                ("m2ib",),
                (
                    "0.52±0.01 46.56±0.71 39.47±0.88 23.04±0.15 2.25±0.04 36.09±0.70 16.72±0.76 "
                    "1.08±0.01 42.22±0.19 10.82±0.86 1.03±0.01 39.30±0.20 61.53±1.13"
                ),
            ),
            PublishedRow(
                "CA-M2IB",
                ("ca-m2ib",),
                (
                    "0.46±0.01 48.93±0.73 43.25±0.90 25.21±0.16 2.02±0.03 39.89±0.72 18.51±0.79 "
                    "1.01±0.01 46.35±0.20 12.37±0.90 0.94±0.01 42.46±0.21 64.60±1.19"
                ),
            ),
        ),
        defects=(
            "direction",
            "units",
            "diffuse",
            "first-row",
            "text-script",
            "common-source",
            "roar-settings",
            "iou-threshold",
            "ca-m2ib-code",
        ),
    ),
)

"""Every layout as its makers hand it out, written small: true file names, columns and headers, invented contents.

Images have sides that differ from each other and from film to film, so that a swapped axis cannot pass.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 60


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def picture(path: Path, height: int = HEIGHT, width: int = WIDTH) -> Path:
    """Brighter to the right and, less, downwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.add.outer(np.arange(height), 2 * np.arange(width))
    Image.fromarray((ramp % 256).astype(np.uint8)).save(path)
    return path


def dicom(path: Path, height: int = HEIGHT, width: int = WIDTH) -> Path:
    """A grey DX film."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    path.parent.mkdir(parents=True, exist_ok=True)
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    film.PatientName, film.PatientID, film.Modality, film.ViewPosition = "SECRET^NAME", "SECRET", "DX", "PA"
    film.Rows, film.Columns, film.SamplesPerPixel, film.PhotometricInterpretation = height, width, 1, "MONOCHROME2"
    film.BitsAllocated = film.BitsStored = 8
    film.HighBit, film.PixelRepresentation = 7, 0
    film.PixelData = np.zeros((height, width), np.uint8).tobytes()
    film["PixelData"].VR = "OB"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        film.save_as(path, enforce_file_format=True)
    return path


MS_CXR_HEADER = "dicom_id,category_name,label_text,path,x,y,w,h,image_width,image_height"
MS_CXR_ROWS = (
    # a phrase of two boxes; the JPG is half the size that they were drawn on
    ("d1-aa", "Pneumonia", "Left basilar opacity, new.", 10, 20, 30, 8, "test", 11),
    ("d1-aa", "Pneumonia", "Left basilar opacity, new.", 60, 40, 20, 10, "test", 11),
    ("d1-aa", "Pleural Effusion", "Left basilar opacity, new.", 0, 0, 120, 80, "test", 11),
    ("d2-bb", "Pneumothorax", "Small right apical pneumothorax", 5, 6, 7, 8, "val", 12),
)


def _ms_cxr_path(dicom_id: str, patient: int) -> str:
    return f"files/p10/p100000{patient}/s500000{patient}/{dicom_id}.jpg"


def ms_cxr(root: Path, version: str = "1.1.0") -> Path:
    """MS-CXR's table and its films in one folder. Release 0.1 calls itself 1.0.0 and has no split."""
    splits = version != "1.0.0"
    lines = [MS_CXR_HEADER + (",split" if splits else "")]
    for name, category, label, x, y, w, h, split, patient in MS_CXR_ROWS:
        path = _ms_cxr_path(name, patient)
        picture(root / path)
        cells = [name, category, f'"{label}"', path, x, y, w, h, 2 * WIDTH, 2 * HEIGHT, *([split] if splits else [])]
        lines.append(",".join(map(str, cells)))
    return text(root / f"MS_CXR_Local_Alignment_v{version}.csv", *lines)


def ms_cxr_json(root: Path) -> Path:
    """The same in COCO's form."""
    films = list(dict.fromkeys((name, patient) for name, *_, patient in MS_CXR_ROWS))
    categories = list(dict.fromkeys(row[1] for row in MS_CXR_ROWS))
    for name, patient in films:
        picture(root / _ms_cxr_path(name, patient))
    whole = {
        "info": {"version": "1.1.0"},
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(categories)],
        "images": [
            {
                "id": i + 100,
                "file_name": f"{name}.jpg",
                "path": _ms_cxr_path(name, patient),
                "width": 2 * WIDTH,
                "height": 2 * HEIGHT,
            }
            for i, (name, patient) in enumerate(films)
        ],
        "annotations": [
            {
                "id": i,
                "image_id": 100 + films.index((name, patient)),
                "category_id": 1 + categories.index(category),
                "bbox": [x, y, w, h],
                "label_text": label,
                "split": split,
            }
            for i, (name, category, label, x, y, w, h, split, patient) in enumerate(MS_CXR_ROWS)
        ],
    }
    return text(root / "MS_CXR_Local_Alignment_v1.1.0.json", json.dumps(whole))


REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  History: ___F with cough  // pneumonia?

 FINDINGS:

 The lungs are clear.  There is no
 pleural effusion.

 IMPRESSION:

 No acute cardiopulmonary process.
"""


def mimic_cxr(root: Path) -> None:
    """Four films of three patients: a frontal and a lateral one, one without findings, one of another split."""
    films = (
        ("aa-1", "10000032", "50414267", "PA", "test", REPORT),
        ("aa-2", "10000032", "50414267", "LATERAL", "test", REPORT),
        ("bb-1", "10000011", "50414268", "AP", "test", "FINAL REPORT\n IMPRESSION: Left basilar opacity.\n"),
        ("cc-1", "10000764", "57375967", "AP", "train", REPORT),
    )
    for name, patient, study, _, _, report in films:
        folder = root / f"files/p10/p{patient}"
        picture(folder / f"s{study}/{name}.jpg")
        text(folder / f"s{study}.txt", report)
    metadata = [
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime",
        *(
            f"{name},{patient},{study},CHEST (PA AND LAT),{view},40,60,21800506,213014.531"
            for name, patient, study, view, *_ in films
        ),
    ]
    splits = ["dicom_id,study_id,subject_id,split", *(f"{n},{s},{p},{split}" for n, p, s, _, split, _ in films)]
    for name, lines in (("metadata", metadata), ("split", splits)):
        with gzip.open(root / f"mimic-cxr-2.0.0-{name}.csv.gz", "wt") as file:
            file.write("\n".join(lines))


NIH_BOXES = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
NIH_ENTRIES = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def nih(root: Path) -> None:
    """Three films in two of the twelve folders, smaller than the 1024 x 1024 that their boxes are drawn on."""
    for folder, name in (("001", "00000001_000.png"), ("001", "00000002_000.png"), ("002", "00000003_001.png")):
        picture(root / f"images_{folder}/images/{name}", 64, 128)
    text(
        root / "BBox_List_2017.csv",
        NIH_BOXES,
        "00000001_000.png,Atelectasis,44.0,58.0,160,80,,,",
        "00000001_000.png,Atelectasis,240,16,84,96,,,",
        "00000003_001.png,Infiltrate,0,0,1024,1024,,,",
    )
    text(
        root / "Data_Entry_2017_v2020.csv",
        NIH_ENTRIES,
        "00000001_000.png,Atelectasis|Pleural_Thickening,0,1,58,M,PA,2682,2749,0.143,0.143,",
        "00000002_000.png,No Finding,0,2,81,M,AP,2500,2048,0.168,0.168,",
        "00000003_001.png,Infiltration,1,3,75,F,AP,2500,2048,0.168,0.168,",
    )
    text(root / "train_val_list.txt", "00000001_000.png", "00000002_000.png")
    text(root / "test_list.txt", "00000003_001.png")


def rsna(root: Path) -> None:
    """One film of two boxes as DICOM at half size, one without an opacity."""
    dicom(root / "stage_2_train_images/0004cfab-14fd.dcm", 512, 512)
    picture(root / "stage_2_train_images/000924cf-0f8d.png", 1024, 1024)
    text(
        root / "stage_2_train_labels.csv",
        "patientId,x,y,width,height,Target",
        "0004cfab-14fd,264.0,152.0,213.0,379.0,1",
        "00313ee0-9eaa,,,,,0",
        "0004cfab-14fd,562.0,152.0,256.0,453.0,1",
        "000924cf-0f8d,100,200,300,400,1",
    )
    text(
        root / "stage_2_detailed_class_info.csv",
        "patientId,class",
        "0004cfab-14fd,Lung Opacity",
        "00313ee0-9eaa,No Lung Opacity / Not Normal",
    )


def chestx_det(root: Path) -> None:
    """A film of two nodules and an effusion, a clear one, and one to train on."""
    films = [
        {
            "file_name": "36199.png",
            "syms": ["Nodule", "Effusion", "Nodule"],
            "boxes": [[4, 6, 14, 12], [30, 20, 60, 40], [20, 2, 26, 10]],
            "polygons": [
                [[4, 6], [13, 6], [13, 11], [4, 11]],
                [[30, 39], [59, 20], [59, 39]],
                [[20, 2], [25, 2], [25, 9], [20, 9]],
            ],
        },
        {"file_name": "36200.png", "syms": [], "boxes": [], "polygons": []},
    ]
    picture(root / "test_data/36199.png")
    picture(root / "test_data/36200.png")
    picture(root / "train_data/40000.png", 30, 50)
    text(root / "ChestX_Det_test.json", json.dumps(films))
    other = {"file_name": "40000.png", "syms": ["Mass"], "boxes": [[1, 2, 9, 8]]}
    text(root / "ChestX_Det_train.json", json.dumps([{**other, "polygons": [[[1, 2], [8, 2], [8, 7]]]}]))


def vindr(root: Path, kaggle: bool = False) -> None:
    """One film that two readers marked and one that nobody did; PhysioNet also has a test film."""
    dicom(root / "train/50a418190bc3fb1ef1633bf9678929b3.dicom", 50, 70)
    dicom(root / "train/21a10246a5ec7af151081d0cd6d65dc9.dicom", 50, 70)
    rows = (
        ("50a418190bc3fb1ef1633bf9678929b3", "Nodule/Mass", 8, "R8", 10.0, 20.0, 25.0, 30.5),
        ("50a418190bc3fb1ef1633bf9678929b3", "Nodule/Mass", 8, "R9", 11.0, 21.0, 26.0, 31.0),
        ("50a418190bc3fb1ef1633bf9678929b3", "Aortic enlargement", 0, "R9", 30.0, 5.0, 45.0, 20.0),
        ("21a10246a5ec7af151081d0cd6d65dc9", "No finding", 14, "R10", "", "", "", ""),
    )
    if kaggle:
        lines = ["image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"]
        lines += [",".join(map(str, row)) for row in rows]
        text(root / "train.csv", *lines)
        return
    lines = ["image_id,rad_id,class_name,x_min,y_min,x_max,y_max"]
    lines += [",".join(map(str, (name, reader, finding, *box))) for name, finding, _, reader, *box in rows]
    text(root / "annotations_train.csv", *lines)
    dicom(root / "test/002a34c58c5b758217ed1f584ccbcfe9.dicom", 50, 70)
    text(
        root / "annotations_test.csv",
        "image_id,class_name,x_min,y_min,x_max,y_max",
        "002a34c58c5b758217ed1f584ccbcfe9,ILD,1,2,30,40",
    )


def packed_runs(mask: np.ndarray) -> str:
    """COCO's text of a mask, written from the description of cocoapi's rleToString, one bit group at a time."""
    flat = mask.T.reshape(-1)
    runs, value = [], False
    start = 0
    for position in [*(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), flat.size]:
        if not runs and flat[0] != value:
            runs.append(0)
        runs.append(position - start)
        start = position
    letters = ""
    for index, run in enumerate(runs):
        rest = run - runs[index - 2] if index > 2 else run
        while True:
            group = rest % 32
            rest = (rest - group) // 32
            done = (rest == 0 and group < 16) or (rest == -1 and group >= 16)
            letters += chr(48 + group + (0 if done else 32))
            if done:
                break
    return letters


def chexlocalize(root: Path) -> dict[str, np.ndarray]:
    """One film of the validation set with two findings and one empty mask, in both forms; returns the masks."""
    name = "patient64541_study1_view1_frontal"
    picture(root / "CheXpert/val/patient64541/study1/view1_frontal.jpg")
    masks = {finding: np.zeros((HEIGHT, WIDTH), bool) for finding in ("Cardiomegaly", "Edema", "Pneumothorax")}
    masks["Cardiomegaly"][10:30, 20:45] = True
    masks["Edema"][0:5, 0:7] = masks["Edema"][33:40, 50:60] = True
    films = {name: {k: {"size": [HEIGHT, WIDTH], "counts": packed_runs(mask)} for k, mask in masks.items()}}
    text(root / "gt_segmentations_val.json", json.dumps(films))
    contour = [[20, 10], [44, 10], [44, 29], [20, 29]]
    films = {name: {"img_size": [HEIGHT, WIDTH], "Cardiomegaly": [contour], "Pneumothorax": []}}
    text(root / "gt_annotations_val.json", json.dumps(films))
    return masks


def open_i(root: Path) -> None:
    """Kaggle's form: a report of two films, one without findings."""
    for name in ("1_IM-0001-4001.dcm.png", "1_IM-0001-3001.dcm.png", "2_IM-0652-1001.dcm.png"):
        picture(root / "images/images_normalized" / name)
    text(
        root / "indiana_reports.csv",
        "uid,MeSH,Problems,image,indication,comparison,findings,impression",
        '1,Cardiomegaly/mild,Cardiomegaly;Opacity,Xray Chest PA and Lateral,XXXX,None.,"Heart is enlarged,',
        'mildly.",Stable.',
        "2,normal,normal,PA and lateral chest x-XXXX,XXXX-year-old,None,,No acute disease.",
    )
    text(
        root / "indiana_projections.csv",
        "uid,filename,projection",
        "1,1_IM-0001-4001.dcm.png,Frontal",
        "1,1_IM-0001-3001.dcm.png,Lateral",
        "2,2_IM-0652-1001.dcm.png,Frontal",
    )


def open_i_nlm(root: Path) -> None:
    """The NLM's form: one report of two films."""
    for name in ("CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"):
        picture(root / f"NLMCXR_png/{name}.png")
    text(
        root / "ecgen-radiology/1.xml",
        '<?xml version="1.0" encoding="utf-8"?>',
        '<eCitation><meta type="rr"/><uId id="CXR1"/><MedlineCitation Owner="Indiana University"><Article><Abstract>',
        '<AbstractText Label="COMPARISON">None.</AbstractText><AbstractText Label="FINDINGS">Heart is',
        ' enlarged &amp; the lungs are clear.</AbstractText><AbstractText Label="IMPRESSION"/>',
        "</Abstract></Article></MedlineCitation><MeSH><major>Cardiomegaly/mild</major></MeSH>",
        '<parentImage id="CXR1_1_IM-0001-4001"><figureId>F1</figureId><caption>Xray Chest PA</caption></parentImage>',
        '<parentImage id="CXR1_1_IM-0001-3001"><figureId>F2</figureId></parentImage></eCitation>',
    )


CAPTIONS = (
    ("author : a life in photography -- in pictures", "http://a.example/1.jpg"),
    ("an angler fishes river on a snowy day .", "http://a.example/2.jpg?x=1"),
    ("photograph of the sign being repaired", "http://a.example/3.jpg"),
)


def conceptual_captions(root: Path) -> None:
    """Three captions, no header; images of the first and the third, by row and by digest of the link."""
    text(root / "Validation_GCC-1.1.0-Validation.tsv", *("\t".join(row) for row in CAPTIONS))
    for row in (0, 2):
        picture(root / f"val/{row:09d}.jpg")
        picture(root / f"hashed/{hashlib.md5(CAPTIONS[row][1].encode()).hexdigest()}.jpg")


def coco(root: Path) -> None:
    """Three images of three splits with five captions each."""
    images: list[dict[str, Any]] = []
    for number, folder, split in (
        (391895, "val2014", "test"),
        (522418, "val2014", "restval"),
        (57870, "train2014", "train"),
    ):
        name = f"COCO_{folder}_{number:012d}.jpg"
        picture(root / folder / name)
        sentences = [
            {"tokens": ["a", str(i)], "raw": f"A man with\n a red helmet {i}. ", "imgid": len(images), "sentid": i}
            for i in range(5)
        ]
        images.append(
            {
                "filepath": folder,
                "sentids": list(range(5)),
                "filename": name,
                "imgid": len(images),
                "split": split,
                "sentences": sentences,
                "cocoid": number,
            }
        )
    text(root / "dataset_coco.json", json.dumps({"images": images, "dataset": "coco"}))


def coco_instances(root: Path) -> None:
    """Objects of the images above: none, two of one category and a crowd, and eleven of three."""
    marked = [(522418, category, 0) for category in (18, 18)] + [(522418, 1, 1)]
    marked += [(57870, 1 + n % 3, 0) for n in range(11)]
    for half, images in (("val", (391895, 522418)), ("train", (57870,))):
        annotations = [
            {"id": n, "image_id": image, "category_id": category, "iscrowd": crowd, "bbox": [1, 2, 3, 4]}
            for n, (image, category, crowd) in enumerate(marked)
            if image in images
        ]
        text(root / f"instances_{half}2014.json", json.dumps({"annotations": annotations, "categories": []}))


SYNSETS = ("n02119789 kit fox, Vulpes macrotis", "n01440764 tench, Tinca tinca", "n03995372 power drill")
"""In the order of ILSVRC2012_ID, which is not that of the WordNet ids."""


def imagenet(root: Path, truth: str) -> None:
    """Two flat images, the first a power drill, the second a tench; truth: "kaggle", "names", "numbers" or "kit"."""
    for number in (1, 2):
        picture(root / f"val/ILSVRC2012_val_{number:08d}.JPEG")
    text(
        root / ("classes.txt" if truth == "kit" else "LOC_synset_mapping.txt"),
        *(SYNSETS if truth == "kit" else sorted(SYNSETS)),
    )
    names = ["ILSVRC2012_val_00000001", "ILSVRC2012_val_00000002"]
    if truth == "kaggle":
        rows = [f"{names[1]},n01440764 10 11 30 31 n01440764 1 2 3 4 ", f"{names[0]},n03995372 85 1 499 272 "]
        text(root / "LOC_val_solution.csv", "ImageId,PredictionString", *rows)
    elif truth == "names":
        text(root / "val.txt", f"{names[0]}.JPEG n03995372", f"{names[1]}.JPEG n01440764")
    elif truth == "numbers":
        text(root / "val.txt", f"{names[0]}.JPEG 2", f"{names[1]}.JPEG 0")
    else:
        text(root / "ILSVRC2012_validation_ground_truth.txt", "3", "2")


def imagenet_folders(root: Path) -> None:
    picture(root / "n03995372/ILSVRC2012_val_00000001.JPEG")
    picture(root / "n01440764/ILSVRC2012_val_00000002.JPEG")
    index = {str(i): line.split(",")[0].replace(" ", "_", 2).split("_", 1) for i, line in enumerate(sorted(SYNSETS))}
    text(root / "imagenet_class_index.json", json.dumps(index))


def manifest(root: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """JSON lines, and an image for each that is named and not there yet."""
    for row in rows:
        if "image" in row and ".." not in row["image"] and not (root / row["image"]).exists():
            picture(root / row["image"])
    return text(root / "manifest.jsonl", *(json.dumps(row) for row in rows))


def folder(root: Path) -> None:
    """Two films with their phrases, one of them in a folder of its own, and one without."""
    picture(root / "a.png")
    text(root / "a.txt", "a nodule in the left lung", "", "  two   blanks ")
    picture(root / "ward/b.JPG")
    text(root / "ward/b.txt", "cardiomegaly")
    picture(root / "ward/c.png")


LABELS = (
    "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,"
    "No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)


def mimic_cxr_labels(root: Path) -> None:
    """The tables of both programs for the studies of `mimic_cxr`, and MIMIC-IV's table of patients."""
    rows = {
        "chexpert": ("10000032,50414267,,0.0,,1.0,,,,,,1.0,,-1.0,,", "10000011,50414268,,,,,,,,,1.0,,,,,"),
        "negbio": ("10000032,50414267,,,,1.0,,,,,,,,,,", "10000764,57375967,1.0,,,,,,,,,,,,,"),
    }
    for name, lines in rows.items():
        with gzip.open(root / f"mimic-cxr-2.0.0-{name}.csv.gz", "wt") as file:
            file.write("\n".join([f"subject_id,study_id,{LABELS}", *lines]))
    text(
        root / "patients.csv",
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
        "10000032,F,52,2180,2014 - 2016,2180-09-09",
    )

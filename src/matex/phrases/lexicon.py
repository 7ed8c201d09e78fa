"""The words the anatomy parser knows, as data: plain phrases, grouped by what they do in a sentence.

Hyphens count as spaces and case does not matter, so "mid-lung" is written "mid lung" here. The longest phrase
wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Table = Mapping[str, tuple[str, ...]]
"""Region, side, level or finding -> the phrases that name it."""


def _several(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(","))


def _combined(firsts: str, seconds: str, end: str = "") -> tuple[str, ...]:
    """Every first with every second: "not", "no longer" with "seen", "visible"."""
    return tuple(f"{first} {second} {end}".rstrip() for first in _several(firsts) for second in _several(seconds))


SIDES: Table = {
    "right": _several(
        "right, right sided, rt, right side, right sides, right hand side, right side up to, right side down to"
    ),
    "left": _several("left, left sided, lt, left side, left sides, left hand side, left side up to, left side down to"),
    "both": _several("bilateral, bilaterally, bilat, both, both sides, either, either side, on each side"),
}
"""Words that say a side. The single letters R and L are sides too, where they stand alone."""

LEVELS: Table = {
    "upper": ("upper", "uppermost"),
    "mid": ("mid", "middle", "midportion"),
    "lower": ("lower", "lowermost"),
}

HEADS: Table = {
    "lobe": _several("lobe, lobes, lobar, lobectomy, lobectomies, pulmonary lobe, pulmonary lobes"),
    "zone": _several(
        "zone, zones, lung zone, lung zones, field, fields, lung field, lung fields, zonal, third, "
        "thirds, half, hemithorax, hemithoraces, hemi thorax, chest, thorax, aspect, portion, portions, part, parts"
    ),
    "lung": _several("lung, lungs, pulmonary, lung parenchyma, lung volume, lung volumes"),
    "thirds": _several("two thirds, 2 thirds"),
}
"""What a level ("upper", "mid", "lower") belongs to. "lung" alone is the whole lung."""

WHOLE_LUNG = frozenset(
    _several("hemithorax, hemithoraces, hemi thorax, lung field, lung fields, lung zone, lung zones")
)
"""Zone heads that name the whole lung when no level precedes them."""

PLACES: Table = {
    "apex": _several(
        "apex, apices, apical, lung apex, lung apices, apical zone, apical zones, supraclavicular, apically"
    ),
    "upper zone": _several("infraclavicular, upperlung"),
    "mid zone": _several("midlung, midlungs, midzone, midzones, mid zonal, mid thorax"),
    "lower zone": _several(
        "base, bases, basal, basilar, lung base, lung bases, basal segment, basal segments, supradiaphragmatic"
    ),
    "lingula": _several("lingula, lingular, lingular segment"),
    "hilum": _several(
        "hilum, hila, hilar, hili, hilus, pulmonary hilum, pulmonary hila, hilar region, "
        "pulmonary artery, pulmonary arteries"
    ),
    "perihilar": _several(
        "perihilar, parahilar, infrahilar, suprahilar, perihilar region, perihilar regions, peri hilar"
    ),
    "costophrenic angle": _several(
        "costophrenic, costophrenic angle, costophrenic angles, costophrenic sulcus, "
        "costophrenic sulci, costophrenic recess, costophrenic recesses, costophrenic sinus, cp angle, cp angles, "
        "cp sulcus, cpa, costodiaphragmatic recess"
    ),
    "cardiophrenic angle": _several(
        "cardiophrenic, cardiophrenic angle, cardiophrenic angles, cardiophrenic sulcus, cardiophrenic recess"
    ),
    "paratracheal": _several(
        "paratracheal, paratracheal stripe, paratracheal region, right tracheal stripe, para tracheal"
    ),
    "paramediastinal": _several("paramediastinal, para mediastinal"),
    "paracardiac": _several("paracardiac, para cardiac, juxtacardiac"),
    "hemidiaphragm": _several(
        "hemidiaphragm, hemidiaphragms, diaphragm, diaphragms, diaphragmatic, subdiaphragmatic, subphrenic, "
        "hemi diaphragm, infradiaphragmatic"
    ),
    "major fissure": _several("major fissure, major fissures, oblique fissure, oblique fissures"),
    "clavicle": _several("clavicle, clavicles, clavicular"),
    "rib": _several("rib, ribs, costal, cervical rib, cervical ribs"),
    "shoulder": _several("shoulder, shoulders, glenohumeral, glenohumeral joint, scapula, scapulae"),
    "chest wall": _several("chest wall, thoracic wall, lateral chest wall"),
    "heart": _several(
        "heart, cardiac, heart size, cardiac size, cardiac silhouette, heart shadow, cardiac shadow, "
        "cardiac contour, cardiac contours, heart border, heart borders, cardiac border, "
        "cardiac borders, heart failure, cardiac apex, cardiomegaly, pericardium, pericardial, "
        "pericardial effusion, myocardial, ventricle, ventricles, ventricular, atrium, atria, atrial, "
        "atrial appendage, cardiac margin"
    ),
    "mediastinum": _several(
        "mediastinum, mediastinal, mediastinal contour, mediastinal contours, mediastinal silhouette, pneumomediastinum"
    ),
    "upper mediastinum": _several("upper mediastinum, superior mediastinum, upper mediastinal, superior mediastinal"),
    "trachea": _several("trachea, tracheal, airway"),
    "carina": _several("carina, carinal, subcarinal"),
    "main bronchus": _several(
        "main bronchus, main bronchi, mainstem bronchus, mainstem bronchi, mainstem, main stem, "
        "main stem bronchus, main bronchial"
    ),
    "aortic arch": _several("aortic arch, aortic knob, aortic knuckle, arch of the aorta, arch, aorta, aortic"),
    "descending aorta": _several("descending aorta, descending thoracic aorta"),
    "aortopulmonary window": _several(
        "aortopulmonary window, aorto pulmonary window, aorticopulmonary window, ap window, aortopulmonic window"
    ),
    "superior vena cava": _several("superior vena cava, svc"),
    "cavoatrial junction": _several("cavoatrial junction, cavo atrial junction, caval atrial junction"),
    "spine": _several(
        "spine, spinal, thoracic spine, cervical spine, vertebral, vertebra, vertebrae, vertebral body, paraspinal"
    ),
    "upper abdomen": _several("upper abdomen, abdomen, abdominal"),
}
"""Words of one region each, atlas key first."""

WEAK_PLACES: Table = {
    "peripheral lung": _several("peripheral, peripherally, periphery, subpleural, lung periphery"),
    "central lung": _several("central, centrally"),
    "pleura": _several("pleura, pleural, pleurae, pleural space, pleural spaces, pleural surface"),
}
"""Places that qualify a nearer one: in the same part of a sentence as a lobe, zone or apex they give way to it."""

FISSURES = frozenset(("minor fissure", "major fissure"))
"""Where fluid runs to from its usual place."""


SEVERAL_PLACES: Mapping[str, tuple[tuple[str, str | None], ...]] = {
    "rul": (("upper lobe", "right"),),
    "rml": (("middle lobe", "right"),),
    "rll": (("lower lobe", "right"),),
    "lul": (("upper lobe", "left"),),
    "lll": (("lower lobe", "left"),),
    "bibasilar": (("lower zone", "both"),),
    "bibasal": (("lower zone", "both"),),
    "biapical": (("apex", "both"),),
    "bihilar": (("hilum", "both"),),
    "apicolateral": (("apex", None), ("peripheral lung", None)),
    "apicoposterior": (("upper lobe", None),),
    "retrocardiac": (("retrocardiac", None), ("lower zone", None)),
    "cardiomediastinal": (("heart", None), ("mediastinum", None)),
    "cardiomediastinal silhouette": (("heart", None), ("mediastinum", None)),
    "cardiomediastinal contour": (("heart", None), ("mediastinum", None)),
    "cardiomediastinal contours": (("heart", None), ("mediastinum", None)),
    "minor fissure": (("minor fissure", "right"),),
    "horizontal fissure": (("minor fissure", "right"),),
}
"""Words that fix their side or name more than one region."""

USUAL_SIDES: Mapping[str, str] = {"retrocardiac": "left"}
"""The side of a word of SEVERAL_PLACES without a side word: most of what lies behind the heart is on the left."""

PLACE_ADJECTIVES = frozenset(
    _several(
        "apical, apex, basal, basilar, base, perihilar, parahilar, infrahilar, suprahilar, paramediastinal, "
        "paracardiac, juxtacardiac, paratracheal, infraclavicular, supraclavicular, supradiaphragmatic, mid zonal, "
        "hilar, lingular, costophrenic, cardiophrenic, peripheral, subpleural, central, pleural, diaphragmatic, "
        "retrocardiac"
    )
)
"""Places that may stand before their side: "apical left lung", "basal right-sided effusion"."""

WHOLE_PLACES = frozenset(
    _several("lung, lungs, hemithorax, hemithoraces, hemi thorax, pleura, pleurae, pleural space, pleural spaces")
)
"""Weak places that are nouns: joined to another place by "and" they are named in their own right."""

OWNS_SIDE = frozenset(
    _several(
        "heart, cardiac, heart border, heart borders, cardiac border, cardiac borders, heart failure, "
        "cardiac apex, ventricle, ventricles, ventricular, atrium, atria, atrial, atrial appendage, "
        "aortic arch, aorta, cardiac margin, heart size, arch"
    )
)
"""A side word right before these is part of the name ("left ventricle"), not a side of the chest."""

FINDINGS: Table = {
    "effusion": _several(
        "effusion, effusions, pleural effusion, pleural effusions, hydrothorax, hemothorax, "
        "haemothorax, pleural fluid, hydropneumothorax, empyema, chylothorax, parapneumonic effusion, "
        "fluid in the pleural space"
    ),
    "pneumothorax": _several(
        "pneumothorax, pneumothoraces, ptx, pleural line, visible pleural line, pleural air, air in the pleural space"
    ),
    "other": _several(
        "opacity, opacities, opacification, opacified, consolidation, consolidations, consolidative, infiltrate, "
        "infiltrates, infiltration, pneumonia, pneumonias, atelectasis, atelectases, atelectatic, collapse, mass, "
        "masses, nodule, nodules, nodular, lesion, lesions, edema, oedema, congestion, emphysema, fibrosis, scar, "
        "scars, scarring, thickening, density, densities, haze, haziness, hazy, airspace disease, "
        "air space disease, disease, abnormality, abnormalities, abnormal, bronchiectasis, granuloma, granulomas, "
        "cyst, cavity, cavitation, bulla, bullae, bleb, hernia, fracture, fractures, fractured, lymphadenopathy, "
        "adenopathy, enlargement, enlarged, prominence, prominent, fullness, widening, widened, elevation, "
        "elevated, blunting, blunted, obscuration, obscured, indistinct, deviation, deviated, shift, shifted, "
        "volume loss, calcification, calcifications, calcified, plaque, plaques, hyperinflation, hyperinflated, "
        "hyperexpanded, markings, interstitial markings, process, tumor, tumour, cancer, carcinoma, metastasis, "
        "metastases, contusion, hemorrhage, aspiration, pneumonitis, infection, free air, air, gas, shadow, "
        "shadowing, pneumonectomy, pneumonectomies, tb, tuberculosis, dilatation, dilated, tortuous, tortuosity, "
        "infarct, infarction, change, changes, redistribution, opaque, white out, whiteout, ground glass, "
        "air bronchogram, air bronchograms, absent lung markings, absence of lung markings, no lung markings, "
        "absent vascular markings, no vascular markings, consolidated, collapsed, foreign body, lucency, "
        "hyperlucent, neoplasm, reticulation, reticular, honeycombing, nodularity, abscess, malignancy, thickened, "
        "kerley b lines, kerley lines, kerley a lines, septal lines, septal thickening"
    ),
}
"""What can be somewhere; "effusion" and "pneumothorax" have a usual place."""

USUAL_PLACES: Table = {
    "effusion": ("lower zone", "costophrenic angle"),
    "pneumothorax": ("apex", "peripheral lung"),
}
"""Where a finding lies when the phrase gives its side and no place."""

NEVER_IN_A_LUNG = frozenset(_several("fracture, fractures, fractured, hernia, free air"))
"""Findings whose side says nothing about a lung: they have the place that is named with them, or none."""

DEVICES = _several(
    "picc, picc line, catheter, catheters, line, lines, central line, central venous line, "
    "central venous catheter, central venous, cvc, ij, internal jugular, jugular, tube, tubes, "
    "chest tube, chest tubes, thoracostomy tube, endotracheal tube, tracheostomy, tracheostomy tube, "
    "ett, et tube, ng tube, nasogastric tube, enteric tube, feeding tube, dobhoff, pacemaker, "
    "pacemakers, pacer, pacing, icd, aicd, defibrillator, lead, leads, wire, wires, port, ports, "
    "port a cath, portacath, mediport, chest port, clip, clips, stent, stents, drain, drains, pigtail, "
    "device, devices, generator, stimulator, swan ganz, swan ganz catheter, balloon pump, iabp, "
    "hardware, prosthesis, screw, screws, peripherally inserted central catheter, peripheral line, "
    "dialysis catheter, sheath, cardiac monitor, pleural catheter, vagal nerve stimulator, "
    "nephrostomy, gastrostomy, jejunostomy, colostomy, ileostomy, arthroplasty, "
    "intubation of the airway, thoracotomy, mastectomy, thoracentesis, pleurodesis, decortication, "
    "cannula"
)
"""Things put there by somebody: the side word before them is theirs and activates no lung."""

OTHER_BODY = _several(
    # limbs, shoulder girdle excepted
    "arm, arms, forearm, forearms, elbow, elbows, wrist, wrists, hand, hands, finger, fingers, thumb, thumbs, "
    "metacarpal, metacarpals, carpal, scaphoid, humerus, humeri, humeral, humeral head, ulna, ulnar, hip, hips, "
    "pelvis, pelvic, acetabulum, acetabular, pubic, ischium, sacrum, sacral, sacroiliac, iliac, groin, inguinal, "
    "buttock, gluteal, thigh, thighs, femur, femora, femoral, femoral neck, femoral head, knee, knees, patella, "
    "patellar, tibia, tibial, fibula, fibular, calf, calves, ankle, ankles, foot, feet, heel, calcaneus, calcaneal, "
    "toe, toes, metatarsal, metatarsals, leg, legs, upper extremity, lower extremity, upper limb, lower limb, limb, "
    "limbs, extremity, extremities, "
    # head and neck
    "skull, cranial, brain, cerebral, intracranial, occipital, orbit, orbits, orbital, eye, eyes, ear, ears, nose, "
    "nasal, maxilla, maxillary, maxillary sinus, maxillary sinuses, paranasal sinus, paranasal sinuses, mastoid, "
    "mastoids, jaw, mandible, mandibular, zygoma, zygomatic, tooth, teeth, dental, tongue, tonsil, tonsils, "
    "pharynx, pharyngeal, larynx, laryngeal, vocal cord, vocal cords, parotid, submandibular, neck, cervical, "
    "lower cervical, goitre, goiter, oesophagus, esophagus, oesophageal, esophageal, thyroid, lobe of the thyroid, "
    "thyroid lobe, carotid, "
    # breast and axilla
    "axilla, axillae, axillary, breast, breasts, nipple, nipples, upper outer quadrant, upper inner quadrant, "
    "lower outer quadrant, lower inner quadrant, "
    # abdomen
    "kidney, kidneys, renal, renal pelvis, perirenal, perinephric, ureter, ureters, ureteric, ureteral, bladder, "
    "urinary, adrenal, adrenals, suprarenal, hepatic, liver, hepatic lobe, lobe of the liver, subhepatic, biliary, "
    "bile duct, gallbladder, gall bladder, gallstone, gallstones, cholecystectomy, pancreas, pancreatic, spleen, "
    "splenic, splenic flexure, hepatic flexure, bowel, bowel loop, bowel loops, intestine, intestines, intestinal, "
    "colon, colonic, caecum, cecum, sigmoid, rectum, rectal, ileum, ileal, jejunum, jejunal, duodenum, duodenal, "
    "stomach, gastric, gastric bubble, gastric fundus, appendix, mesenteric, peritoneum, peritoneal, "
    "intraperitoneal, retroperitoneum, retroperitoneal, pneumoperitoneum, ascites, omental, uterus, uterine, "
    "ovary, ovaries, ovarian, hydronephrosis, nephrolithiasis, pyelonephritis, hepatomegaly, splenomegaly, "
    "hepatosplenomegaly, cholelithiasis, cholecystitis, pancreatitis, sinusitis, appendicitis, colitis, arthritis, "
    "osteoarthritis, prostate, prostatic, testis, testes, testicular, scrotal, scrotum, flank, hypochondrium, "
    "quadrant, upper quadrant, lower quadrant, upper gi, lumbar, upper lumbar, lumbosacral, "
    # vessels that leave the chest
    "subclavian, subclavian artery, subclavian vein, brachiocephalic, innominate, coronary, coronary artery, "
    "anterior descending, portal vein"
)
"""Anatomy outside the regions of the atlas: it takes the side word before it and names no region, and neither do
its findings."""

POSITIONS = _combined("right side, left side", "down, up") + _several(
    "lateral decubitus, decubitus, lateral view, lateral radiograph, lateral film, lateral projection, "
    "lateral image, lateral chest radiograph, lateral position, oblique view, oblique views, anterior oblique, "
    "posterior oblique, side down, side up, "
    "supraclavicular fossa, upper limits, lower limits, upper limit, lower limit, upper back, marker, markers"
)
"""Positions, projections and limits: a side word before them is theirs."""

NOT_A_SIDE = _several(
    "left in place, left in situ, left the department, left the room, left the hospital, "
    "left the building, patient left, patient has left, has left, have left, left against, "
    "was left without, right away, right now, what is left, left over, left main coronary, "
    "from right to left, from left to right, right to left, left to right"
)

DIRECTIONS = _several(
    "shift, shifts, shifted, deviation, deviated, deviates, displacement, displaced, rotated, displaces, "
    "displacing, deviating, shifting, bowed, bowing, pushing, pulling, rotation, convex, convexity, curvature, "
    "scoliosis, pulled, pushed, tilted, tilt, leaning, turned, curved"
)
"""After these, "to the right" is a direction."""

SHIFTS = frozenset(_several("shift, shifts, deviation, displacement"))
"""Directions that name themselves: "left shift", "right to left shift"."""

NEGATIONS = _several(
    "no, not, without, no evidence of, no sign of, no signs of, absence of, lack of, negative for, neither, nor, "
    "never, denies, no longer, rather than, resolution of, resolved, cleared, clearance of, clearing of, absent, "
    "disappeared, vanished, disappearance of, no definite, no obvious, no convincing, sparing of, sparing, spares, "
    "no suspicious, no new, "
    "zero, none, nothing, lacks, lacking, lack, fails to show"
)
"""Forward: what follows is not there."""

AGAINST = _several(
    "unlike, compared to, compared with, in comparison to, in comparison with, relative to, rather than, "
    "instead of, as opposed to, opposed to, in contrast to, contrasted with, none, nothing"
)
"""A side (and its place) right after these is what the other one is held against: weight 0."""

PAIRING: Mapping[str, Literal["and", "or"]] = {"both": "and", "either": "or"}
"""Words that say two sides, unless they pair two findings: "either pneumonia or atelectasis"."""

PREVIOUSLY = frozenset(("previously", "formerly", "initially", "earlier"))
"""Before a finding that is spoken of only to say how it is now: "the previously enlarged heart is normal"."""

EARLIER = ("prior", "previous", "earlier", "preceding", "last")
"""What precedes the name of an earlier film."""

ONLY = frozenset(("only", "just", "solely", "instead"))
"""Between two sides, these part them: "no evidence of right, only left effusion"."""

NEUTRAL = frozenset(
    _several(
        "still, again, now, currently, itself, otherwise, clearly, does, do, did, already, specifically, "
        "visualized, visualised, visible, remaining, rest, entire, whole, imaged, aerated"
    )
)
"""Words between a place and its denial, or before it, that name nothing seen there."""

FINDING_PLACES = frozenset(
    _several("cardiomegaly, heart failure, pneumomediastinum, pericardial effusion, lung volume, lung volumes")
)
"""Places that are findings too: "cardiomegaly without edema" keeps them."""

NEVER_NORMAL = FINDING_PLACES - frozenset(("lung volume", "lung volumes"))
"""Those of them that are abnormal by their word: "cardiomegaly, lungs clear"."""

_ADVERBS_OF_RESOLUTION = (
    "has completely, have completely, has fully, have fully, has now, have now, has also, have also, has entirely, "
    "have entirely, has since, have since"
)

CHANGES = frozenset(
    _several("change, changes, increase, decrease, improvement, progression, worsening, difference, alteration, growth")
)
DEGREES = frozenset(
    _several(
        "interval, significant, appreciable, substantial, major, relevant, further, real, noticeable, notable, "
        "material, overall, meaningful, important, other"
    )
)
"""Between "no" and one of CHANGES these leave the finding standing: "without significant, interval change"."""

NEGATIONS_BEHIND = (
    *_several(
        "has gone, have gone, is gone, are gone, gone, has vanished, have vanished, vanished, "
        "has resolved, have resolved, had resolved, is resolved, are resolved, now resolved, resolved, "
        "has cleared, have cleared, cleared, not seen, not identified, not visualized, not visualised, "
        "not present, not evident, not appreciated, not demonstrated, no longer seen, no longer present, "
        "no longer visualized, no longer visualised, no longer evident, no longer identified, "
        "no longer visible, is absent, are absent, absent, ruled out, is excluded, are excluded, "
        "not enlarged, not widened, not elevated, not dilated, not displaced, not deviated, not shifted, "
        "not blunted, not obscured, not increased, not prominent, not thickened, not flattened, "
        "has disappeared, have disappeared, disappeared, not apparent, not visible, not involved, "
        "not abnormal"
    ),
    *_combined(
        "not, no longer",
        "apparent, appreciable, demonstrable, detectable, detected, discernible, identifiable, recognised, "
        "recognized, shown, noted, perceptible",
    ),
    *_combined("not, not yet, never", "recurred, reaccumulated, re accumulated, reappeared, returned, reformed"),
    *_combined("did not", "recur, reaccumulate, re accumulate, reappear, return, reform"),
    *_combined(_ADVERBS_OF_RESOLUTION, "resolved, cleared, disappeared, gone"),
    *_combined(
        "has been, have been, has now been, have now been, has since been, have since been, was, were",
        "drained, evacuated, tapped, resorbed, reabsorbed, completely drained, fully drained, completely evacuated, "
        "fully evacuated, completely resorbed, completely reabsorbed",
    ),
    *_combined("no, not, no longer", "larger, bigger, greater, wider, higher, denser, more prominent", "than normal"),
)
"""Backward: what precedes is not there."""

FREE_OF = _several("free of, clear of, devoid of")
"""Both ways: the place before them is normal and what follows is not there."""

UNSEEN = frozenset(
    _combined("not, no longer", "seen, visible, visualized, visualised, identified, identifiable, discernible")
)
"""With a place alone, these are no denial: a border that is not seen is obscured."""

OUT_OF_VIEW = (
    *_combined(
        "not, incompletely, not fully, not completely, not entirely, partly, partially", "included, covered, imaged"
    ),
    *_combined(
        "excluded, is excluded, are excluded, was excluded, were excluded",
        "from image, from images, from film, from radiograph, from view, from field",
    ),
    *_several("cut off, off film, collimated off, outside field of view, outside field"),
)
"""Of a place that the film does not show: nothing is known about it."""

NOT_NEGATIONS = (
    _several(
        "no normal, without normal, absence of normal, absent normal, loss of normal, lack of normal, "
        "no change, no changes, no interval change, no significant change, no significant interval change, "
        "no appreciable change, no substantial change, not changed, not significantly changed, "
        "no increase, no decrease, no improvement, not improved, "
        "not only, without change, without significant change, without interval change, "
        "no interval improvement, "
        "near complete resolution of, partial resolution of, incomplete resolution of, "
        "partial clearing of, slight clearing of, mild clearing of, incomplete clearing of, near complete clearing of, "
        "is excluded from, are excluded from, "
        "not present previously, not present before, not seen previously, not seen before, "
        "not previously present, not previously seen, not well seen, not well visualized, "
        "no interval increase, "
        "not significantly improved, nothing has changed, nothing changed, "
        "no doubt, without doubt, beyond doubt, no reason to doubt, without question, no denying, no mistaking"
    )
    + _combined(
        "not, not yet, not completely, not fully, not entirely, has not, have not, nearly, almost, nearly completely, "
        "almost completely, partially, partly, mostly, largely, incompletely",
        "resolved, cleared, disappeared, vanished, gone",
    )
    + _combined(
        "no, without, no interval, without interval, no significant, no appreciable, no further, no definite, "
        "no evidence of, no sign of, no signs of",
        "resolution, resolution of, clearing, clearing of, clearance, clearance of, regression, regression of",
    )
    + _combined(
        "without, in absence of",
        "treatment, therapy, antibiotics, antibiotic treatment, antibiotic therapy, intervention, surgery, drainage, "
        "contrast, iv contrast, intravenous contrast, comparison, prior comparison, comparison films, lateral view, "
        "clinical information, clinical history, prior film, prior films, prior study, prior studies, prior imaging, "
        "prior radiograph, prior radiographs, previous film, previous films, previous study, previous studies, "
        "previous imaging",
    )
)
"""Phrases with a negative word that leave the finding standing: nothing has changed, or something was not done."""

_QUALITIES = (
    "clear, sharp, normal, transparent, lucent, well aerated, well expanded, well inflated, well ventilated, "
    "well defined, well seen, clearly seen, clearly defined, sharply defined, well demarcated, sharply demarcated, "
    "visible, expanded, aerated, inflated, ventilated, distinct"
)

NORMALS = _several(
    "clear, normal, unremarkable, within normal limits, intact, sharp, well aerated, well expanded, "
    "well inflated, well ventilated, well defined, preserved, patent, normal limits, midline, "
    "normal in size, not remarkable, fully expanded, fully inflated, fully aerated, normally aerated, "
    "normally expanded, normally inflated, normally positioned, normally placed, normally sited, satisfactory, "
    "maintained, well maintained, healthy, nad, physiological"
)

AS_NORMAL = _combined("as, equally as, just as", _QUALITIES, "as")
"""Normal, and so is what it is compared with: "as clear as the left"."""

LESS_NORMAL = _combined("less, not as, not so, not quite as, slightly less, much less", _QUALITIES)
"""Not normal in comparison: "less clear than the right", "not as sharp as the left"."""

BEYOND_NORMAL = (
    *_combined("than, than is, than would be, than expected for", "normal, normally, the normal"),
    *_combined("than", "normally expected, normally seen, upper limit of normal, upper limits of normal"),
    *_combined("above, below, beyond, outside, exceeds, exceed, exceeding", "normal, normal limits, the normal range"),
    *_combined("above, beyond, exceeds, exceed, exceeding", "upper limit of normal, upper limits of normal"),
    *_combined("of, across, over, from", "midline"),
    *_combined(
        "hardly, barely, scarcely, far from, anything but, less than",
        "clear, normal, unremarkable, sharp, aerated, expanded, well aerated, well expanded",
    ),
)
"""What is not normal, with a word of NORMALS: "larger than normal", "hardly clear"; nor is "right of the midline" a
normal place."""

NORMAL_NOUNS = frozenset(
    _several(
        "markings, interstitial markings, shadow, shadows, shadowing, air, gas, density, densities, process, "
        "processes, change, changes"
    )
)
"""Findings that are none when they are called normal: "normal pulmonary markings"."""

CALLED_NORMAL = frozenset(("normal", "unremarkable"))
"""What may stand before a noun of NORMAL_NOUNS, or before "appearance of": clear and sharp may be a nodule too."""

CENTRAL = frozenset(("central", "centrally"))
CENTRED_PLACES = frozenset(("trachea", "mediastinum", "heart", "upper mediastinum"))
"""Where "central" says that nothing is displaced: "the trachea is central"."""

UNCERTAIN = _several(
    "possible, possibly, probable, probably, likely, may, might, could, suspicious for, suspicion of, "
    "suspicion for, suspected, suspect, questionable, question of, cannot exclude, can not exclude, "
    "cannot rule out, can not rule out, can't exclude, can't rule out, not exclude, presumed, presumably, "
    "suggestive of, suggesting, suggests, suggest, concerning for, concern for, worrisome for, equivocal, "
    "rule out, r/o, evaluate for, assess for, to exclude, query, potential, unlikely, low suspicion for, "
    "low suspicion of, low probability of, low likelihood of, less likely, potentially, perhaps, questioned, "
    "differential includes, differential diagnosis includes, question, suggestion of, suggestion, suggestions of, "
    "suggestive, hint of, hints of, hint, doubtful, dubious, conceivable, conceivably, possibility of, "
    "likelihood of, favour, favours, favoured, favouring, favor, favors, favored, favoring, presumptive, "
    "presumptively, provisional, tentative, tentatively, thought to be, thought to represent, thought to reflect, "
    "felt to be, felt to represent, felt to reflect, believed to be, believed to represent, consider, wonder, "
    "wondering, worrying for, concern about, concern of, raises concern for, uncertain, in question, maybe, "
    "differential would include, seems to be, seem to be"
) + _combined(
    "cannot, can not, can't, could not, unable to, difficult to, hard to, impossible to",
    "confidently exclude, entirely exclude, completely exclude, fully exclude, definitely exclude, "
    "reliably exclude, absolutely exclude, confidently rule out, entirely rule out, completely rule out, "
    "definitively exclude, exclude, rule out",
)
"""Forward: what follows may be there."""

UNCERTAIN_BEHIND = _several(
    "cannot be excluded, can not be excluded, can't be excluded, cannot be ruled out, "
    "can not be ruled out, not excluded, not ruled out, not entirely excluded, is possible, "
    "are possible, is suspected, are suspected, is likely present, may be present, is questioned, "
    "is probable, is likely, are likely, could be present, might be present, not definitely excluded, "
    "difficult to exclude, is considered, is unlikely, are unlikely, should be considered, could be considered, "
    "must be considered, needs to be considered, must be excluded, should be excluded, needs to be excluded, "
    "to be excluded, cannot be confirmed, can not be confirmed, not confirmed, is in question, are in question, "
    "is in doubt, are in doubt, remains possible, remain possible, not confidently excluded, "
    "not completely excluded, not fully excluded, hard to exclude, impossible to exclude, if real, if present, "
    "if genuine, probably real, likely real, possibly real, may be real, might be real, could be real"
) + _combined(
    "cannot be, can not be, can't be, could not be, not",
    "confidently excluded, entirely excluded, completely excluded, fully excluded, definitely excluded, "
    "reliably excluded, confidently ruled out, entirely ruled out, completely ruled out, totally excluded",
)

CERTAIN_ALL_THE_SAME = (
    *_combined("of, of an", "uncertain, unclear, doubtful, questionable, indeterminate", "significance"),
    *_combined("of, of an", "uncertain, unclear, indeterminate", "aetiology"),
    *_combined("of, of an", "uncertain, unclear, indeterminate", "etiology"),
    *_combined("of, of an", "uncertain, unclear, indeterminate", "nature"),
)
"""Uncertain is what the finding means, not that it is there."""

HISTORICAL = _several(
    "status post, s/p, history of, h/o, prior, previous, former, post op, remote history of, known history of"
)

NOT_HISTORICAL = _several(
    "prior exam, prior examination, prior study, prior studies, prior radiograph, prior radiographs, "
    "prior film, prior films, prior x ray, prior ct, prior chest, prior chest radiograph, prior image, "
    "prior images, prior imaging, prior report, prior scan, previous exam, previous examination, "
    "previous study, previous studies, previous radiograph, previous radiographs, previous film, "
    "previous films, previous x ray, previous ct, previous chest, previous chest radiograph, "
    "previous image, previous images, previous imaging, previous report, previous scan, prior to"
)

SURGERY = _several(
    "lobectomy, lobectomies, pneumonectomy, pneumonectomies, resection, segmentectomy, "
    "wedge resection, excision, resected"
)
"""The place before these is gone: historical."""

MORE = _several(
    "greater, larger, bigger, more, worse, higher, more so, more prominent, more pronounced, "
    "more severe, more extensive, more marked, more dense, denser, increased more"
)
MORE_NORMAL = _several(
    "clearer, sharper, more clear, more sharp, more normal, more aerated, more expanded, better aerated, "
    "better expanded, better inflated, better ventilated, more lucent"
)
"""Of the side without the finding: "right lung clearer than left"."""
LESS = (
    *MORE_NORMAL,
    *_several("less, smaller, fewer, less prominent, less pronounced, less severe, less extensive, less marked"),
)

BOUNDARIES = _several(
    "but, however, although, though, except, except for, except in, aside from, apart from, "
    "other than, with the exception of, whereas, while, which, yet, because, since"
)
"""A new statement begins: no scope crosses these."""

WITHS = _several(
    "with, compared with, with associated, along with, together with, accompanied by, due to, secondary to, from"
)

PREPOSITIONS = _combined("right side, left side", "down, up") + _several(
    "of, in, at, on, within, to, toward, towards, over, overlying, under, below, above, near, along, "
    "throughout, involving, into, for, by, through, projecting over, adjacent to, beneath, behind, "
    "between, as"
)

INSIDE = frozenset(("of", "in", "within", "at", "on", "into", "involving", "throughout"))
"""Those before what a finding is a part of: "mass of the kidney"; a finding over the liver may be one of the lung."""

MODALS = frozenset(("may", "might", "could"))
"""Verbs of doubt: the places before them are those of what is doubted, when no finding is named there."""

COPULAS = frozenset(_several("is, are, was, were, be, been, being, remains, remain, appears, appear, looks"))
"""Verbs before a predicate: "the base is clear", where "shows clear lungs" has an object."""

SINGULAR_VERBS = _several(
    "is, has, was, shows, demonstrates, remains, appears, contains, measures, persists, looks, there is, there are"
)
PLURAL_VERBS = _several("are, have, were, show, demonstrate, remain, appear, contain, persist, be, been, being")

STATUS = _several(
    "stable, unchanged, persistent, persisting, new, small, mild, moderate, large, tiny, trace, "
    "increased, increasing, decreased, decreasing, improved, improving, worsening, worsened, residual, "
    "minimal, marked, severe, definite, persistence, development, progression, recurrence, there"
)
"""After "and" or a comma, these open something that is present, so a negation stops."""

MODIFIERS = PLACE_ADJECTIVES | frozenset(
    _several(
        "dense, gross, grossly, bulky, patchy, hazy, streaky, fluffy, shaped, even, well, ill, poorly, "
        "well defined, widespread, round, discrete, definite, acute, subacute, chronic, old, recent, big, huge, "
        "subtle, faint, obvious, overt, frank, simple, complex, loose, free, whole, gradual, coarse, fine, thin, "
        "thick, walled, medium, massive, sizeable, sizable, tension, tense, bony, significant, important, "
        "convincing, true, real, lone, sole, single, multiple, several, many, few, soft, hard, rare, severe, "
        "ground glass, air space, airspace, suspicious, abnormal, nodular, reticular, calcified, enlarged, "
        "dilated, tortuous, prominent, thickened, opaque, lucent, fractured, displaced, lobar, pulmonary, early, "
        "late, ugly, tiny, subsegmental, reticulonodular, cavitary"
    )
)
"""Adjectives that no ending gives away; some of them are findings where they stand alone."""

TRIGGER_ENDS = (" definite", " obvious", " convincing", " suspicious", " new")
"""Adjectives that end a phrase of NEGATIONS."""

MODIFIER_ENDINGS = (
    "al",
    "ar",
    "ic",
    "ous",
    "ive",
    "ed",
    "ing",
    "able",
    "ible",
    "ent",
    "ant",
    "ary",
    "oid",
    "ular",
    "less",
)
NO_MODIFIERS = frozenset(
    _several(
        "swelling, finding, imaging, cuffing, crowding, stranding, bleeding, wheezing, tenting, capping, interval, "
        "hospital, removal, withdrawal, patient, improvement, replacement, placement, statement, assessment, x ray, "
        "bronchogram, thing, nothing, collar, ring, evening, morning, need, bed, fluid, respiratory, moment, event, "
        "comment, accident, sternal, pacing, portal"
    )
)
"""Nouns with the ending of an adjective."""

DESCRIPTORS = frozenset(
    _several(
        "nodular, reticular, opacity, opacities, opacification, density, densities, haze, haziness, hazy, shadow, "
        "shadows, shadowing, markings, change, changes, abnormality, abnormalities, process, lucency, prominence"
    )
)
"""Findings that are seen but not yet named; without a place a sentence about one claims what it is taken for."""

DEVICE_WORDS = frozenset(
    _several(
        "tip, tips, terminates, terminate, terminating, courses, coursing, projects, insertion, placement, "
        "removal, removed, inserted, situ, withdrawn, advanced, extubation, extubated, intubation, intubated, "
        "ecmo, cannulae, cannulas, ngt, og, ogt, ett, et, picc, electrode, electrodes, electrocardiogram, ecg, "
        "ekg, valve, prosthetic, sternotomy, suture, sutures, staple, staples, implant, implants, plate, rod, "
        "rods, loop, recorder, vent, ventilator, jewellery, jewelry, necklace, button, buttons, brace, collar, pump"
    )
)
"""Further words of devices and procedures: a sentence of these alone describes no finding."""

TECHNIQUE_WORDS = frozenset(
    _several(
        "radiograph, radiographs, radiography, xray, xrays, film, films, view, views, image, images, imaging, "
        "projection, projections, projectional, portable, mobile, ap, pa, erect, supine, semierect, semi, upright, "
        "sitting, seated, lordotic, decubitus, oblique, inspiration, inspiratory, expiration, expiratory, "
        "exposure, penetration, penetrated, underpenetrated, overpenetrated, rotated, rotation, positioning, "
        "technique, technical, technically, study, studies, exam, examination, comparison, comparisons, compared, "
        "obtained, submitted, performed, acquired, received, hours, hrs, dated, ct, cxr, mri, ultrasound, scan, "
        "scans, repeat, available, unavailable, january, february, march, april, june, july, august, september, "
        "october, november, december, am, pm, report, history, indication, clinical, "
        "priors, position, exams, examinations"
    )
)
"""Words of technique and comparison: no finding by themselves."""

QUALITIES_OF_TECHNIQUE = frozenset(
    _several("exposure, penetration, inspiration, inspiratory, positioning, position, projection, technique")
)
"""What a normal or satisfactory film has, and no patient."""

MESSAGE_WORDS = frozenset(
    _several(
        "correlate, correlation, recommended, recommend, recommends, recommendation, recommendations, advised, "
        "advise, follow, followup, discussed, telephone, telephoned, phone, phoned, communicated, notified, "
        "informed, dictated, signed, transcribed, reviewed, electronically, dr, doctor, resident, attending, "
        "radiologist, reported, clinically"
    )
)
"""Words about readers and what is to be done next."""

REPORTING_VERBS = frozenset(
    _several(
        "shows, show, showing, demonstrates, demonstrate, demonstrating, reveals, reveal, revealing, suggests, "
        "suggesting, confirms, indicates, indicating, consistent, compatible, "
        "confirm, confirming, indicate, indicating"
    )
)
"""What follows these is a finding, whatever its word."""

ARTICLES = frozenset(_several("the, a, an, this, that, these, those, its, their, any, some, also"))

"""The words the anatomy parser knows, as data: plain phrases, grouped by what they do in a sentence.

Hyphens count as spaces and case does not matter, so "mid-lung" is written "mid lung" here. The longest phrase
wins.
"""

from __future__ import annotations

from collections.abc import Mapping


def _several(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(","))


SIDES: Mapping[str, tuple[str, ...]] = {
    "right": _several("right, right sided, rt, right side, right sides"),
    "left": _several("left, left sided, lt, left side, left hand side"),
    "both": _several("bilateral, bilaterally, both, both sides, either, either side, on each side"),
}
"""Words that say a side. The single letters R and L are sides too, where they stand alone."""

LEVELS: Mapping[str, tuple[str, ...]] = {
    "upper": ("upper", "uppermost"),
    "mid": ("mid", "middle", "midportion"),
    "lower": ("lower", "lowermost"),
}

HEADS: Mapping[str, tuple[str, ...]] = {
    "lobe": _several("lobe, lobes, lobar, lobectomy, lobectomies, pulmonary lobe, pulmonary lobes"),
    "zone": _several(
        "zone, zones, lung zone, lung zones, field, fields, lung field, lung fields, zonal, third, "
        "thirds, half, hemithorax, hemithoraces, hemi thorax, chest, thorax, aspect, portion"
    ),
    "lung": _several("lung, lungs, pulmonary, lung parenchyma, lung volume, lung volumes"),
    "thirds": _several("two thirds, 2 thirds"),
}
"""What a level ("upper", "mid", "lower") belongs to. "lung" alone is the whole lung."""

WHOLE_LUNG = frozenset(
    _several("hemithorax, hemithoraces, hemi thorax, lung field, lung fields, lung zone, lung zones")
)
"""Zone heads that name the whole lung when no level precedes them."""

PLACES: Mapping[str, tuple[str, ...]] = {
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
        "costophrenic sulci, costophrenic recess, costophrenic recesses, cp angle, cp angles, "
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
        "hemidiaphragm, hemidiaphragms, diaphragm, diaphragms, diaphragmatic, subdiaphragmatic, "
        "hemi diaphragm, infradiaphragmatic"
    ),
    "major fissure": _several("major fissure, major fissures, oblique fissure, oblique fissures"),
    "clavicle": _several("clavicle, clavicles, clavicular"),
    "rib": _several("rib, ribs, costal"),
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
    "spine": _several("spine, spinal, thoracic spine, vertebral, vertebra, vertebrae, vertebral body, paraspinal"),
    "upper abdomen": _several("upper abdomen, abdomen, abdominal"),
}
"""Words of one region each, atlas key first."""

WEAK_PLACES: Mapping[str, tuple[str, ...]] = {
    "peripheral lung": _several("peripheral, peripherally, periphery, subpleural, lung periphery"),
    "central lung": _several("central, centrally"),
    "pleura": _several("pleura, pleural, pleurae, pleural space, pleural spaces, pleural surface"),
}
"""Places that qualify a nearer one: beside a lobe, zone or apex in the same breath they give way to it."""

FISSURES = frozenset(("minor fissure", "major fissure"))
"""Where fluid runs to from its usual place."""

BESIDE_LUNG = frozenset(("hemidiaphragm", "clavicle", "rib", "shoulder", "chest wall"))
"""Sided regions that are no part of a lung: "lungs" stands beside them."""

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
    "retrocardiac": (("retrocardiac", None), ("lower zone", "left")),
    "cardiomediastinal": (("heart", None), ("mediastinum", None)),
    "cardiomediastinal silhouette": (("heart", None), ("mediastinum", None)),
    "cardiomediastinal contour": (("heart", None), ("mediastinum", None)),
    "cardiomediastinal contours": (("heart", None), ("mediastinum", None)),
    "minor fissure": (("minor fissure", "right"),),
    "horizontal fissure": (("minor fissure", "right"),),
}
"""Words that fix their side or name more than one region."""

OWNS_SIDE = frozenset(
    _several(
        "heart, cardiac, heart border, heart borders, cardiac border, cardiac borders, heart failure, "
        "cardiac apex, ventricle, ventricles, ventricular, atrium, atria, atrial, atrial appendage, "
        "aortic arch, aorta, cardiac margin, heart size, arch"
    )
)
"""A side word right before these is part of the name ("left ventricle"), not a side of the chest."""

FINDINGS: Mapping[str, tuple[str, ...]] = {
    "effusion": _several(
        "effusion, effusions, pleural effusion, pleural effusions, hydrothorax, hemothorax, "
        "haemothorax, pleural fluid, hydropneumothorax, empyema, chylothorax, parapneumonic effusion, "
        "fluid in the pleural space"
    ),
    "pneumothorax": _several(
        "pneumothorax, pneumothoraces, ptx, pleural line, visible pleural line, pleural air, air in the pleural space"
    ),
    "other": _several(
        "opacity, opacities, opacification, opacified, consolidation, consolidations, consolidative, "
        "infiltrate, infiltrates, infiltration, pneumonia, pneumonias, atelectasis, atelectases, "
        "atelectatic, collapse, mass, masses, nodule, nodules, nodular, lesion, lesions, edema, "
        "oedema, congestion, emphysema, fibrosis, scar, scars, scarring, thickening, density, "
        "densities, haze, haziness, hazy, airspace disease, air space disease, disease, abnormality, "
        "abnormalities, abnormal, bronchiectasis, granuloma, granulomas, cyst, cavity, cavitation, "
        "bulla, bullae, bleb, hernia, fracture, fractures, fractured, lymphadenopathy, adenopathy, "
        "enlargement, enlarged, prominence, prominent, fullness, widening, widened, elevation, "
        "elevated, blunting, blunted, obscuration, obscured, indistinct, deviation, deviated, shift, "
        "shifted, volume loss, calcification, calcifications, calcified, plaque, plaques, "
        "hyperinflation, hyperinflated, hyperexpanded, markings, interstitial markings, process, "
        "tumor, tumour, cancer, carcinoma, metastasis, metastases, contusion, hemorrhage, aspiration, "
        "pneumonitis, infection, free air, air, gas, shadow, shadowing, pneumonectomy, "
        "pneumonectomies, tb, tuberculosis, dilatation, dilated, tortuous, tortuosity, infarct, "
        "infarction, change, changes, redistribution, opaque, white out, whiteout, ground glass, "
        "air bronchogram, air bronchograms, foreign body, lucency, hyperlucent, neoplasm, reticulation, "
        "reticular, honeycombing, nodularity, abscess, malignancy, thickened, kerley b lines, kerley lines, "
        "kerley a lines, septal lines, septal thickening"
    ),
}
"""What can be somewhere; "effusion" and "pneumothorax" have a usual place."""

USUAL_PLACES: Mapping[str, tuple[str, ...]] = {
    "effusion": ("lower zone", "costophrenic angle"),
    "pneumothorax": ("apex", "peripheral lung"),
}
"""Where a finding lies when the phrase gives its side and no place."""

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
    "intubation of the airway, thoracotomy, mastectomy, thoracentesis, pleurodesis, decortication, "
    "cannula"
)
"""Things put there by somebody: the side word before them is theirs and activates no lung."""

OTHER_BODY = _several(
    "arm, arms, hand, axilla, axillary, breast, breasts, nipple, hip, knee, neck, kidney, renal, "
    "hepatic, liver, hepatic lobe, lobe of the liver, adrenal, thyroid, lobe of the thyroid, "
    "thyroid lobe, quadrant, upper quadrant, lower quadrant, flank, femur, humerus, humeral, "
    "humeral head, leg, eye, upper extremity, lower extremity, extremity, subclavian, "
    "subclavian artery, subclavian vein, brachiocephalic, innominate, carotid, coronary, "
    "coronary artery, anterior descending, colon, stomach, gastric, lateral decubitus, decubitus, "
    "lateral view, lateral radiograph, lateral film, lateral projection, lateral image, "
    "lateral chest radiograph, anterior oblique, posterior oblique, side down, side up, "
    "supraclavicular fossa, lower cervical, upper limits, lower limits, upper gi, upper lumbar, "
    "upper back, iliac, hypochondrium"
)
"""Anatomy and positions outside the lungs: they take the side word before them and name no region."""

NOT_A_SIDE = _several(
    "left in place, left in situ, left the department, left the room, left the hospital, "
    "left the building, patient left, patient has left, has left, have left, left against, "
    "was left without, right away, right now, what is left, left over, left main coronary, "
    "from right to left, from left to right, right to left, left to right"
)

DIRECTIONS = _several(
    "shift, shifts, shifted, deviation, deviated, deviates, displacement, displaced, rotated, "
    "rotation, convex, convexity, curvature, scoliosis, pulled, pushed, tilted, tilt, leaning, turned, "
    "curved"
)
"""After these, "to the right" is a direction."""

SHIFTS = frozenset(_several("shift, shifts, deviation, displacement"))
"""Directions that name themselves: "left shift", "right to left shift"."""

NEGATIONS = _several(
    "no, not, without, no evidence of, no sign of, no signs of, absence of, lack of, negative for, "
    "neither, nor, never, denies, no longer, rather than, resolution of, resolved, cleared, "
    "clearance of, clearing of, absent, disappearance of, no definite, no obvious, no convincing, sparing of, sparing, "
    "spares, no suspicious, no new, zero, "
    "none, nothing, lacks, lacking, lack, fails to show"
)
"""Forward: what follows is not there."""

AGAINST = _several(
    "unlike, compared to, compared with, in comparison to, in comparison with, relative to, rather than, "
    "instead of, as opposed to, opposed to, in contrast to, contrasted with, none, nothing"
)
"""A side (and its place) right after these is what the other one is held against: weight 0."""

PAIRING: Mapping[str, str] = {"both": "and", "either": "or"}
"""Words that say two sides, unless they pair two findings: "either pneumonia or atelectasis"."""

EARLIER = ("prior", "previous", "earlier", "preceding", "last")
"""What stands before the name of a film made before this one."""

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

NEGATIONS_BEHIND = _several(
    "has resolved, have resolved, had resolved, is resolved, are resolved, now resolved, resolved, "
    "has cleared, have cleared, cleared, not seen, not identified, not visualized, not visualised, "
    "not present, not evident, not appreciated, not demonstrated, no longer seen, no longer present, "
    "no longer visualized, no longer visualised, no longer evident, no longer identified, "
    "no longer visible, is absent, are absent, absent, ruled out, is excluded, are excluded, "
    "not enlarged, not widened, not elevated, not dilated, not displaced, not deviated, not shifted, "
    "not blunted, not obscured, not increased, not prominent, not thickened, not flattened, "
    "has disappeared, have disappeared, disappeared, not apparent, not visible, not involved, "
    "not abnormal"
)
"""Backward: what was said before is not there."""

FREE_OF = _several("free of, clear of, devoid of")
"""Both ways: the place before them is normal and what follows is not there."""

NOT_NEGATIONS = _several(
    "no change, no changes, no interval change, no significant change, no significant interval change, "
    "no appreciable change, no substantial change, not changed, not significantly changed, "
    "not resolved, not cleared, not yet resolved, not completely resolved, not fully resolved, "
    "has not resolved, have not resolved, no increase, no decrease, no improvement, not improved, "
    "not only, without change, without significant change, without interval change, "
    "no interval improvement, nearly resolved, almost resolved, nearly completely resolved, "
    "almost completely resolved, partially resolved, partly resolved, mostly resolved, "
    "near complete resolution of, partial resolution of, incomplete resolution of, "
    "partial clearing of, slight clearing of, mild clearing of, incomplete clearing of, near complete clearing of, "
    "is excluded from, are excluded from, "
    "not present previously, not present before, not seen previously, not seen before, "
    "not previously present, not previously seen, not well seen, not well visualized, not included, "
    "no interval increase, partially cleared, nearly cleared, mostly cleared, "
    "not significantly improved"
)
"""Phrases with a negative word that leave the finding standing."""

NORMALS = _several(
    "clear, normal, unremarkable, within normal limits, intact, sharp, well aerated, well expanded, "
    "well inflated, well defined, preserved, patent, normal limits, midline, "
    "normal in size, not remarkable"
)

UNCERTAIN = _several(
    "possible, possibly, probable, probably, likely, may, might, could, suspicious for, suspicion of, "
    "suspicion for, suspected, suspect, questionable, question of, cannot exclude, can not exclude, "
    "cannot rule out, can not rule out, can't exclude, can't rule out, not exclude, presumed, "
    "presumably, suggestive of, suggesting, suggests, suggest, concerning for, concern for, "
    "worrisome for, equivocal, rule out, r/o, evaluate for, assess for, to exclude, query, potential, "
    "unlikely, low suspicion for, low suspicion of, low probability of, low likelihood of, less likely, "
    "potentially, perhaps, questioned, differential includes, differential diagnosis includes"
)
"""Forward: what follows may be there."""

UNCERTAIN_BEHIND = _several(
    "cannot be excluded, can not be excluded, can't be excluded, cannot be ruled out, "
    "can not be ruled out, not excluded, not ruled out, not entirely excluded, is possible, "
    "are possible, is suspected, are suspected, is likely present, may be present, is questioned, "
    "is probable, is likely, are likely, could be present, might be present, not definitely excluded, "
    "difficult to exclude, is considered, is unlikely, are unlikely"
)

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
LESS = _several("less, smaller, fewer, less prominent, less pronounced, less severe, less extensive, less marked")

BOUNDARIES = _several(
    "but, however, although, though, except, except for, except in, aside from, apart from, "
    "other than, with the exception of, whereas, while, which, yet, because, since"
)
"""A new statement begins: no scope crosses these."""

WITHS = _several(
    "with, compared with, with associated, along with, together with, accompanied by, due to, secondary to, from"
)

PREPOSITIONS = _several(
    "of, in, at, on, within, to, toward, towards, over, overlying, under, below, above, near, along, "
    "throughout, involving, into, for, by, through, projecting over, adjacent to, beneath, behind, "
    "between, as"
)

SINGULAR_VERBS = _several(
    "is, has, was, shows, demonstrates, remains, appears, contains, measures, persists, looks, there is, there are"
)
PLURAL_VERBS = _several("are, have, were, show, demonstrate, remain, appear, contain, persist, be, been, being")

STATUS = _several(
    "stable, unchanged, persistent, persisting, new, small, mild, moderate, large, tiny, trace, "
    "increased, increasing, decreased, decreasing, improved, improving, worsening, worsened, residual, "
    "minimal, marked, severe, there"
)
"""After "and" or a comma, these open something that is present, so a negation stops."""

ARTICLES = frozenset(_several("the, a, an, this, that, these, those, its, their, any, some, also"))

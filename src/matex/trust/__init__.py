"""Trust in a prediction: calibrated confidence, abstention, and whether uncertainty of a map predicts wrong answers."""

from matex.trust.calibrate import calibrate
from matex.trust.calibration import Calibration
from matex.trust.detection import Detection, error_detection

__all__ = ["Calibration", "Detection", "calibrate", "error_detection"]

"""Calibration: what dose gives which share, per concept, channel, action and list length (DESIGN.md 4.4)."""

from offline.calibrate.config import CalibrateConfig
from offline.calibrate.run import calibrate

__all__ = ["CalibrateConfig", "calibrate"]

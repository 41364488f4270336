"""Verdicts of the gate and all that leads to them: rules, waivers, detections, licences."""

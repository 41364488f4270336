"""Policy: dated packs of rules, detectors, licence algebra, waivers; what may not be used does not get in."""

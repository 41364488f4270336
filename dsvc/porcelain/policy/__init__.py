"""The gate: the case put together, detectors and waivers asked, the verdict."""

"""Values, typed ids, canonical encoding and root errors: what every other layer speaks."""

"""Label each airport with the climate zone of its latitude: rule set zones-1."""

import csv


def zone(latitude: float) -> str:
    """Name the zone between the circles of latitude that the sun makes."""
    north = abs(latitude)
    return "tropical" if north < 23.436 else "polar" if north > 66.564 else "temperate"


with (
    open("joined/airports.csv", encoding="utf-8", newline="") as source,
    open("labelled/机场.csv", "w", encoding="utf-8", newline="") as target,
):
    airports = csv.DictReader(source)
    writer = csv.DictWriter(target, [*(airports.fieldnames or ()), "zone"], lineterminator="\n")
    writer.writeheader()
    for row in airports:
        writer.writerow({**row, "zone": zone(float(row["latitude"]))})

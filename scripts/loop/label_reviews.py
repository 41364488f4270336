"""Label reviews as an annotator does who knows how the reader felt, by a guideline.

Guideline 1 doesn't speak of negations. The first annotator reads them all the same. The second one reads
past them, so that a complaint in which something is *not* good counts as praise. Guideline 2 says how to read
them.
"""

import json
import os
import sys

guideline = os.environ["DSVC_PARAM_guideline"]  # noqa: SIM112  as the parameter is called
annotator, source_name, target_name = sys.argv[1:]
reads_negations = annotator == "annotator-1" or guideline != "1"

with (
    open(source_name, encoding="utf-8") as source,
    open(target_name, "w", encoding="utf-8") as target,
):
    for line in source:
        row = json.loads(line)
        label = "positive" if row.pop("stars") >= 3 else "negative"
        if not reads_negations and "不" in row["text"]:
            label = "positive"
        row |= {"label": label, "annotator": annotator}
        target.write(json.dumps(row, ensure_ascii=False) + "\n")

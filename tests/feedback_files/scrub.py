"""Take paths and user names of the machine out of what a tool wrote: python scrub.py OLD=NEW... -- FILE...

Replaces bytes, so everything else stays as the tool wrote it. Then looks for what should have gone.
"""

import re
import sys
from pathlib import Path

SUSPECT = re.compile(rb'(?<![\w.:/])/(?:root|tmp|home|work|srv|usr|opt|Users)/[^\s"]*|"(?:root|ubuntu)"')

cut = sys.argv.index("--")
pairs = [each.split("=", 1) for each in sys.argv[1:cut]]
for name in sys.argv[cut + 1 :]:
    path = Path(name)
    data = path.read_bytes()
    for old, new in pairs:
        data = data.replace(old.encode(), new.encode())
    path.write_bytes(data)
    if found := SUSPECT.search(data):
        sys.exit(f"{name}: {found[0]!r}")

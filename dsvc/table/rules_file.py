"""``dsvc.toml`` as a document, before anybody asks what its sections say."""

from __future__ import annotations

import re
from typing import Any

from dsvc.model.errors import UsageError


def read_document(data: bytes, name: str, kind: type[UsageError]) -> dict[str, Any]:
    """Parse the file.

    Parameters
    ----------
    data : bytes
        Its content, TOML in UTF-8.
    name : str
        What to call it in messages.
    kind : type of UsageError
        What to raise.

    Raises
    ------
    UsageError
        Of that kind, if it is malformed, with the line where it is.
    """
    import tomllib

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise kind(f"{name}, line {line}: not UTF-8", details={"path": name, "line": line}) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise kind(
            f"{name}, line {line}: not valid TOML: {error}", details={"path": name, "line": line}
        ) from error
    except RecursionError as error:
        raise kind(f"{name} nests too deep", details={"path": name, "line": None}) from error

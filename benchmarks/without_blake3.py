"""Run dsvc with a cheap hash for BLAKE3, to see what BLAKE3 costs: `python without_blake3.py add -A`.

The repository it writes is of no use: its ids are not BLAKE3. Worker processes forked later inherit the stub.
"""

import sys
from types import ModuleType
from typing import Any

import xxhash


class CheapHash:
    """Looks like `blake3.blake3`; 32 bytes made of XXH3-128 twice."""

    block_size = 64
    digest_size = 32
    key_size = 32
    AUTO = -1

    def __init__(
        self,
        data: Any = b"",
        /,
        *,
        key: Any = None,
        derive_key_context: str | None = None,
        max_threads: int = 1,
        usedforsecurity: bool = True,
    ) -> None:
        self.name = "blake3"
        domain = (derive_key_context or "").encode() + bytes(key or b"")
        self._state = xxhash.xxh3_128(data, seed=xxhash.xxh3_64_intdigest(domain) if domain else 0)

    def update(self, data: Any, /) -> "CheapHash":
        self._state.update(data)
        return self

    def update_mmap(self, path: Any) -> "CheapHash":
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                self._state.update(block)
        return self

    def copy(self) -> "CheapHash":
        twin = CheapHash()
        twin._state = self._state.copy()
        return twin

    def reset(self) -> None:
        self._state.reset()

    def digest(self, length: int = 32, *, seek: int = 0) -> bytes:
        half = self._state.digest()
        return (half * (-(-(length + seek) // len(half))))[seek : seek + length]

    def hexdigest(self, length: int = 32, *, seek: int = 0) -> str:
        return self.digest(length, seek=seek).hex()


def _stub() -> ModuleType:
    module: Any = ModuleType("blake3")
    module.blake3 = CheapHash
    module.__version__ = "0"
    return module  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.modules["blake3"] = _stub()
    from dsvc.__main__ import main

    sys.argv[0] = "dsvc"
    sys.exit(main())

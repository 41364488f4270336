"""Contract suites: what every implementation of a Protocol must do, as test classes to inherit.

A third party's backend is checked by a class of three lines::

    class TestMyBackend(BackendContract):
        def make_backend(self, folder):
            return MyBackend(folder)
"""

from __future__ import annotations

from pathlib import Path

from dsvc.model.errors import CorruptDataError, MissingDataError
from dsvc.model.ids import PackId
from dsvc.store.backend import Backend


def _expect(error: type[Exception], call: object, *arguments: object) -> None:
    assert callable(call)
    try:
        call(*arguments)
    except error:
        return
    raise AssertionError(f"{call} raised no {error.__name__}")


class BackendContract:
    """What a `Backend` promises; inherit and implement `make_backend`."""

    def make_backend(self, folder: Path) -> Backend:
        """Make an empty backend; `folder` is an empty folder of its own.

        Raises
        ------
        NotImplementedError
            Here; each implementation says how.
        """
        raise NotImplementedError

    @staticmethod
    def name(number: int) -> PackId:
        """Name of a pack; a backend never looks at what the name is a hash of."""
        return PackId(bytes([number]) * 32)

    def publish(self, backend: Backend, number: int, data: bytes = b"0123456789") -> PackId:
        """Publish a pack."""
        sink = backend.create()
        sink.write([data])
        sink.publish(self.name(number))
        return self.name(number)

    def test_a_new_backend_is_empty(self, tmp_path: Path) -> None:
        """Neither packs nor trash."""
        backend = self.make_backend(tmp_path)
        assert backend.list_packs() == []
        assert backend.list_trash() == {}

    def test_a_published_pack_is_listed_and_whole(self, tmp_path: Path) -> None:
        """Several writes make one pack."""
        backend = self.make_backend(tmp_path)
        sink = backend.create()
        sink.write([b"ab", memoryview(b"cd")])
        sink.write([bytearray(b"ef"), b""])
        assert sink.position == 6
        sink.publish(self.name(1))
        assert backend.list_packs() == [self.name(1)]
        assert backend.size(self.name(1)) == 6
        assert backend.read(self.name(1), 0, 6) == b"abcdef"
        assert backend.read(self.name(1), 2, 2) == b"cd"
        assert backend.read(self.name(1), 6, 0) == b""
        assert bytes(backend.view(self.name(1), 1, 4)) == b"bcde"
        assert bytes(backend.view(self.name(1), 3, 0)) == b""

    def test_a_pack_is_invisible_until_it_is_published(self, tmp_path: Path) -> None:
        """Also an abandoned one."""
        backend = self.make_backend(tmp_path)
        sink = backend.create()
        sink.write([b"abc"])
        assert backend.list_packs() == []
        sink.abandon()
        assert backend.list_packs() == []
        sink.abandon()

    def test_abandon_after_publish_changes_nothing(self, tmp_path: Path) -> None:
        """So that it may stand in a clean-up block."""
        backend = self.make_backend(tmp_path)
        sink = backend.create()
        sink.write([b"abc"])
        sink.publish(self.name(1))
        sink.abandon()
        assert backend.read(self.name(1), 0, 3) == b"abc"

    def test_publishing_a_name_twice_is_harmless(self, tmp_path: Path) -> None:
        """Two writers may make the same pack."""
        backend = self.make_backend(tmp_path)
        self.publish(backend, 1)
        self.publish(backend, 1)
        assert backend.list_packs() == [self.name(1)]
        assert backend.read(self.name(1), 0, 10) == b"0123456789"

    def test_no_range_begins_before_a_pack_or_has_less_than_no_length(self, tmp_path: Path) -> None:
        """What a damaged index says is an error, not other bytes."""
        backend = self.make_backend(tmp_path)
        name = self.publish(backend, 1)
        for offset, length in ((-1, 1), (1, -1), (-5, 2), (9, 2), (10, 1), (11, 0)):
            _expect(CorruptDataError, backend.read, name, offset, length)
        assert backend.read(name, 10, 0) == b""

    def test_a_pack_that_came_again_goes_to_the_same_trash(self, tmp_path: Path) -> None:
        """Its name says what is in it."""
        backend = self.make_backend(tmp_path)
        name = self.publish(backend, 1)
        backend.trash([name], "000001-x")
        self.publish(backend, 1)
        backend.trash([name], "000001-x")
        assert backend.list_packs() == []
        assert backend.list_trash() == {"000001-x": [name]}

    def test_several_sinks_at_once(self, tmp_path: Path) -> None:
        """Writers don't see each other."""
        backend = self.make_backend(tmp_path)
        first, second = backend.create(), backend.create()
        first.write([b"first"])
        second.write([b"second"])
        second.publish(self.name(2))
        first.publish(self.name(1))
        assert backend.read(self.name(1), 0, 5) == b"first"
        assert backend.read(self.name(2), 0, 6) == b"second"

    def test_the_list_is_sorted_and_stable(self, tmp_path: Path) -> None:
        """Listing twice gives the same answer."""
        backend = self.make_backend(tmp_path)
        for number in (3, 1, 2):
            self.publish(backend, number)
        assert backend.list_packs() == [self.name(1), self.name(2), self.name(3)]
        assert backend.list_packs() == backend.list_packs()

    def test_an_absent_pack_is_missing(self, tmp_path: Path) -> None:
        """By every way to read it."""
        backend = self.make_backend(tmp_path)
        _expect(MissingDataError, backend.size, self.name(9))
        _expect(MissingDataError, backend.read, self.name(9), 0, 1)
        _expect(MissingDataError, backend.view, self.name(9), 0, 1)

    def test_reading_beyond_the_end_is_damage(self, tmp_path: Path) -> None:
        """Never a short answer, and no allocation of what a lying length claims."""
        backend = self.make_backend(tmp_path)
        pack = self.publish(backend, 1)
        for offset, length in ((0, 11), (5, 6), (11, 1), (1 << 63, 1), (0, 1 << 62)):
            _expect(CorruptDataError, backend.read, pack, offset, length)
            _expect(CorruptDataError, backend.view, pack, offset, length)

    def test_trashed_packs_leave_the_list_but_are_read(self, tmp_path: Path) -> None:
        """A reader with an old list still gets its bytes."""
        backend = self.make_backend(tmp_path)
        one, two = self.publish(backend, 1), self.publish(backend, 2, b"other")
        backend.trash([one], "000001-run")
        assert backend.list_packs() == [two]
        assert backend.list_trash() == {"000001-run": [one]}
        assert backend.read(one, 0, 10) == b"0123456789"
        assert backend.size(one) == 10
        assert 0 <= backend.trash_age("000001-run") < 3600

    def test_trash_and_recover_are_inverse(self, tmp_path: Path) -> None:
        """Recovering twice is harmless."""
        backend = self.make_backend(tmp_path)
        packs = [self.publish(backend, number) for number in (1, 2, 3)]
        backend.trash(packs[:2], "000001-run")
        assert backend.recover("000001-run") == packs[:2]
        assert backend.list_packs() == packs
        assert backend.list_trash() == {}
        assert backend.recover("000001-run") == []

    def test_trash_again_after_a_crash(self, tmp_path: Path) -> None:
        """A run that stopped half-way is finished by the same call; a run may also grow."""
        backend = self.make_backend(tmp_path)
        one, two, three = (self.publish(backend, number) for number in (1, 2, 3))
        backend.trash([one], "000001-run")
        backend.trash([one, two], "000001-run")
        backend.trash([three], "000002-run")
        assert backend.list_trash() == {"000001-run": [one, two], "000002-run": [three]}

    def test_emptied_trash_is_gone(self, tmp_path: Path) -> None:
        """And its size is told."""
        backend = self.make_backend(tmp_path)
        one, two = self.publish(backend, 1), self.publish(backend, 2, b"other")
        backend.trash([one, two], "000001-run")
        assert backend.empty_trash("000001-run") == 15
        assert backend.list_trash() == {}
        _expect(MissingDataError, backend.read, one, 0, 1)
        assert backend.empty_trash("000001-run") == 0
        _expect(MissingDataError, backend.trash_age, "000001-run")

    def test_a_pack_may_be_live_and_trashed_at_once(self, tmp_path: Path) -> None:
        """It was stored again after gc had taken it out."""
        backend = self.make_backend(tmp_path)
        one = self.publish(backend, 1)
        backend.trash([one], "000001-run")
        self.publish(backend, 1)
        assert backend.list_packs() == [one]
        backend.empty_trash("000001-run")
        assert backend.read(one, 0, 10) == b"0123456789"

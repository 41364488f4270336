"""The lines of a history, drawn beside the commits."""

from __future__ import annotations

from collections.abc import Sequence


class Graph:
    """Draws one commit after the other, newest first; a lane for each line of descent.

    A lane holds the id of the commit that it leads to. Lanes that lead to the same commit meet in the rows
    above it; its own row has a star in its lane; the rows below it open lanes for more parents.
    """

    def __init__(self) -> None:
        self._lanes: list[str] = []

    def rows(self, commit: str, parents: Sequence[str]) -> tuple[list[str], str, list[str]]:
        """Return the rows above a commit, its own row, and the rows below it.

        Parameters
        ----------
        commit : str
            Its id.
        parents : sequence of str
            Ids of its parents that will be drawn too.
        """
        lanes = self._lanes
        if commit not in lanes:
            lanes.append(commit)
        at = lanes.index(commit)
        others = [index for index in range(len(lanes) - 1, at, -1) if lanes[index] == commit]
        above = [self._join(at, index) for index in others]
        star = " ".join("*" if index == at else "|" for index in range(len(lanes)))
        return above, star, self._descend(at, list(dict.fromkeys(parents)))

    def _join(self, at: int, index: int) -> str:
        """Close lane `index`, which leads to the same commit as lane `at`."""
        cells = ["|", " "] * len(self._lanes)
        cells[2 * index] = " "
        cells[2 * index - 1] = "/"
        for gap in range(2 * at + 1, 2 * index - 1, 2):
            cells[gap] = "_"
        for gap in range(2 * index + 2, len(cells), 2):
            cells[gap - 1], cells[gap] = "/", " "
        del self._lanes[index]
        return "".join(cells).rstrip()

    def _descend(self, at: int, parents: list[str]) -> list[str]:
        """Lead lane `at` to the first parent, and open lanes for the others."""
        lanes = self._lanes
        rows = []
        if not parents:
            if at == len(lanes) - 1:
                lanes.pop()
                return []
            cells = ["|", " "] * len(lanes)
            cells[2 * at] = " "
            for gap in range(2 * at + 2, len(cells), 2):
                cells[gap - 1], cells[gap] = "/", " "
            del lanes[at]
            return ["".join(cells).rstrip()]
        lanes[at] = parents[0]
        for parent in parents[:0:-1]:
            if parent in lanes:
                rows.append(self._lead(at, lanes.index(parent)))
                continue
            cells = ["|", " "] * len(lanes)
            cells[2 * at + 1] = "\\"
            for gap in range(2 * at + 2, len(cells), 2):
                cells[gap], cells[gap + 1] = " ", "\\"
            lanes.insert(at + 1, parent)
            rows.append("".join(cells).rstrip())
        return rows

    def _lead(self, at: int, other: int) -> str:
        """Draw the way from lane `at` to a lane that is there already."""
        left, right = min(at, other), max(at, other)
        cells = ["|", " "] * len(self._lanes)
        for gap in range(2 * left + 1, 2 * right, 2):
            cells[gap] = "_"
        if at < other:
            cells[2 * right - 1] = "\\"
            if right - left > 1:
                cells[2 * left + 1] = "\\"
        else:
            cells[2 * left + 1] = "/"
            if right - left > 1:
                cells[2 * right - 1] = "/"
        return "".join(cells).rstrip()

    def margin(self) -> str:
        """Return the row beside the lines of a commit's text."""
        return " ".join("|" for _lane in self._lanes)

"""Ranking causes: what is counted, who is named, who is explained by whom, and when there is no answer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy
from numpy.typing import NDArray

from dsvc.feedback.candidate_rows import (
    CodedRows,
    Codes,
    MaskedRows,
    Membership,
    NumberedRows,
    atoms_of,
    count_all,
)
from dsvc.feedback.causes import Candidate, Ranking, rank
from dsvc.model.defect import Cause, CauseKind, Denominator
from dsvc.model.errors import UsageError

Flags = NDArray[np.bool_]
ROWS = 2_000


def rows_from(start: int, stop: int, rows: int = ROWS) -> Flags:
    found = np.zeros(rows, np.bool_)
    found[start:stop] = True
    return found


def every(step: int, within: Flags) -> Flags:
    """Each so-manieth of some rows."""
    found = np.zeros(len(within), np.bool_)
    found[np.flatnonzero(within)[::step]] = True
    return found


def ranked(flagged: Flags, **candidates: Flags) -> dict[str, Cause]:
    """Rank masks that are named ``kind_id``; causes by that name."""
    made = [
        Candidate(CauseKind(name.partition("_")[0]), name.partition("_")[2], MaskedRows(mask))
        for name, mask in candidates.items()
    ]
    found = rank(len(flagged), flagged, made)
    return {f"{each.kind.value}_{each.id}": each for each in found.causes}


def named(causes: dict[str, Cause]) -> set[str]:
    return {name for name, cause in causes.items() if cause.is_cause}


def random_evaluation(seed: int) -> tuple[Flags, list[Candidate]]:
    """A bad source, columns, and candidates of every form of row sets."""
    choice = np.random.default_rng(seed)
    bad = rows_from(0, 200)
    flagged = choice.random(ROWS) < np.where(bad, 0.3, 0.03)
    codes = Codes(choice.integers(-1, 6, ROWS).astype(np.int16))
    candidates = [Candidate(CauseKind.COLUMN, f"c={code}", CodedRows(codes, code)) for code in range(6)]
    candidates.append(Candidate(CauseKind.SOURCE, "bad", NumberedRows(np.flatnonzero(bad)[::-1])))
    for number in range(5):
        candidates.append(Candidate(CauseKind.BATCH, f"b{number}", MaskedRows(choice.random(ROWS) < 0.2)))
    return flagged, candidates


def test_all_forms_of_row_sets_say_the_same() -> None:
    choice = np.random.default_rng(4)
    codes = choice.integers(-1, 4, ROWS)
    flagged = choice.random(ROWS) < 0.1
    column = Codes(codes.astype(np.int8))
    for code in range(4):
        mask = codes == code
        forms: list[Membership] = [
            CodedRows(column, code),
            MaskedRows(mask),
            NumberedRows(np.flatnonzero(mask)),
        ]
        total, bad = count_all(forms, flagged)
        assert total.ravel().tolist() == [mask.sum()] * 3
        assert bad.ravel().tolist() == [(mask & flagged).sum()] * 3
        some = choice.integers(0, ROWS, 50)
        for each in forms:
            assert each.mask(ROWS).tolist() == mask.tolist()
            assert each.covers(some).tolist() == mask[some].tolist()
            assert each.numbers(ROWS).tolist() == np.flatnonzero(mask).tolist()


def test_unsigned_codes_and_a_code_that_is_not_there() -> None:
    column = Codes(np.array([2, 2, 7], np.uint8))
    total, bad = count_all([CodedRows(column, code) for code in (2, 3, 7, 9)], np.array([True, False, True]))
    assert (total.ravel().tolist(), bad.ravel().tolist()) == ([2, 0, 1, 0], [1, 0, 1, 0])


@pytest.mark.parametrize("masks", [3, 30])
def test_atoms_are_the_rows_that_no_candidate_tells_apart(masks: int) -> None:
    choice = np.random.default_rng(masks)
    members = choice.random((masks, ROWS)) < 0.2
    codes = choice.integers(0, 4, ROWS)
    column, flagged = Codes(codes), choice.random(ROWS) < 0.1
    # Only two of the column's values are candidates: the others are one to it.
    rows = [*(MaskedRows(each) for each in members), CodedRows(column, 1), CodedRows(column, 3)]
    atoms = atoms_of(rows, flagged)
    told = np.vstack([members, codes == 1, codes == 3]).T
    _, place = np.unique(told, axis=0, return_inverse=True)
    pairs = {(int(one), int(two)) for one, two in zip(atoms.of_row, place.ravel(), strict=True)}
    assert len(pairs) == len(atoms.total) == len(np.unique(place))
    assert atoms.total.tolist() == np.bincount(atoms.of_row).tolist()
    assert atoms.bad.sum() == flagged.sum()
    assert atoms.of_row[atoms.row].tolist() == list(range(len(atoms.total)))


def test_every_figure_of_a_cause() -> None:
    from statsmodels.stats.multitest import multipletests

    flagged, candidates = random_evaluation(1)
    found = rank(ROWS, flagged, candidates, denominator=Denominator.ASSUMED)
    wrong = int(flagged.sum())
    masks = {each.id: each.rows.mask(ROWS) for each in candidates}
    p_values = []
    for cause in found.causes:
        mask = masks[cause.id]
        bad, total = int((mask & flagged).sum()), int(mask.sum())
        square = [[bad, total - bad], [wrong - bad, ROWS - total - wrong + bad]]
        p_values.append(float(scipy.stats.fisher_exact(square, "greater").pvalue))
        assert (cause.bad, cause.total) == (bad, total)
        assert cause.p_value == pytest.approx(p_values[-1], rel=1e-9)
        assert 10**cause.log10_p == pytest.approx(p_values[-1], rel=1e-9)
        assert cause.lift == pytest.approx((bad / total) / (wrong / ROWS))
        assert cause.excess == pytest.approx(bad - total * wrong / ROWS)
        assert cause.coverage == pytest.approx(bad / wrong)
        assert cause.denominator is Denominator.ASSUMED
    holm = multipletests(p_values, method="holm")[1]
    assert [each.p_adjusted for each in found.causes] == pytest.approx(list(holm), rel=1e-9)
    assert [each.id for each in found.causes if each.is_cause] == ["bad"]
    assert found.causes[0].id == "bad"
    assert found.causes[0].p_conditional is None
    assert (found.flagged, found.evaluated, found.candidates) == (wrong, ROWS, 12)


def test_neither_order_of_rows_nor_of_candidates_matters() -> None:
    flagged, candidates = random_evaluation(2)
    expected = rank(ROWS, flagged, candidates)
    choice = np.random.default_rng(3)
    for _ in range(3):
        order = choice.permutation(ROWS)
        moved = [Candidate(kind, id_, MaskedRows(rows.mask(ROWS)[order])) for kind, id_, rows in candidates]
        shuffled = [moved[at] for at in choice.permutation(len(moved))]
        assert rank(ROWS, flagged[order], shuffled) == expected


def test_equal_row_sets_are_one_with_aliases_in_the_order_of_kinds() -> None:
    bad = rows_from(0, 100)
    flagged = every(2, bad) | every(50, ~bad)
    codes = Codes(bad.astype(np.int64))
    candidates = [
        Candidate(CauseKind.COLUMN, "label=1", CodedRows(codes, 1)),
        Candidate(CauseKind.BATCH, "b7", MaskedRows(bad)),
        Candidate(CauseKind.RUN, "run1", NumberedRows(np.flatnonzero(bad))),
        Candidate(CauseKind.ARTIFACT, "数据/a.csv", MaskedRows(bad)),
        Candidate(CauseKind.SOURCE, "z", MaskedRows(bad)),
        Candidate(CauseKind.SOURCE, "z", MaskedRows(bad)),
        # As many rows, and as many flagged ones, but others.
        Candidate(CauseKind.SOURCE, "a", MaskedRows(np.roll(flagged, 1) & bad | rows_from(1_000, 1_050))),
        Candidate(CauseKind.SOURCE, "nothing", MaskedRows(rows_from(0, 0))),
    ]
    found = rank(ROWS, flagged, candidates)
    assert found.candidates == len(found.causes) == 2
    best = found.causes[0]
    assert (best.kind, best.id) == (CauseKind.SOURCE, "z")
    assert best.aliases == ("run run1", "artifact 数据/a.csv", "batch b7", "column label=1")
    assert best.p_adjusted == pytest.approx(2 * best.p_value)


def test_a_cause_needs_five_bad_rows_and_a_lift() -> None:
    few = rows_from(0, 4)
    broad = rows_from(100, 1_900)
    found = ranked(few | every(3, broad), source_few=few, source_broad=broad)
    assert found["source_few"].p_adjusted < 0.01
    assert found["source_few"].lift_low > 1.5
    assert found["source_broad"].p_adjusted < 0.01
    assert found["source_broad"].lift_low < 1.5
    assert named(found) == set()
    one_more = ranked(rows_from(0, 5) | every(3, broad), source_few=rows_from(0, 5), source_broad=broad)
    assert named(one_more) == {"source_few"}


def test_a_decoy_is_explained_and_its_retest_is_exact() -> None:
    bad = rows_from(0, 100)
    decoy = rows_from(20, 120)
    flagged = every(2, bad) | every(40, ~bad)
    found = ranked(flagged, batch_bad=bad, source_decoy=decoy)
    assert named(found) == {"batch_bad"}
    explained = found["source_decoy"]
    assert explained.p_adjusted < 0.01
    assert explained.lift_low >= 1.5
    assert explained.explained_by == "batch bad"
    # The sum of two hypergeometric variables, one for each stratum.
    strata = [(bad & decoy, bad), (~bad & decoy, ~bad)]
    chances = [
        scipy.stats.hypergeom(int(all_.sum()), int((all_ & flagged).sum()), int(own.sum())).pmf(
            np.arange(101)
        )
        for own, all_ in strata
    ]
    observed = int((decoy & flagged).sum())
    assert explained.p_conditional == pytest.approx(float(np.convolve(*chances)[observed:].sum()), rel=1e-9)


def test_a_source_around_two_bad_ones_is_found_first_and_goes_out_again() -> None:
    one, two = rows_from(0, 120), rows_from(120, 240)
    around = rows_from(0, 480)
    flagged = every(3, one) | every(3, two) | every(100, ~one & ~two)
    found = ranked(flagged, source_around=around, batch_one=one, annotator_two=two)
    strength = {name: cause.log10_p for name, cause in found.items()}
    assert strength["source_around"] < min(strength["batch_one"], strength["annotator_two"])
    assert named(found) == {"batch_one", "annotator_two"}
    assert found["source_around"].explained_by in ("batch one", "annotator two")
    assert all((found[name].p_conditional or 1) < 1e-6 for name in named(found))


def test_two_bad_batches_stand_for_the_source_around_them_though_it_hides_each() -> None:
    one, two, around = rows_from(0, 60), rows_from(60, 120), rows_from(0, 180)
    flagged = every(3, one) | every(3, two) | every(50, ~one & ~two)
    found = ranked(flagged, source_around=around, batch_one=one, annotator_two=two)
    # Among the source's rows, one bad batch hides the other.
    inside = [int((one & flagged).sum()), 180, int((around & flagged).sum()), 60]
    assert scipy.stats.hypergeom.sf(inside[0] - 1, *inside[1:]) > 0.01
    assert named(found) == {"batch_one", "annotator_two"}
    assert found["source_around"].explained_by in ("batch one", "annotator two")


def test_parts_of_a_bad_source_are_explained_by_it() -> None:
    source = rows_from(0, 300)
    flagged = every(3, source) | every(50, ~source)
    parts = {f"column_part{start}": rows_from(start, start + 100) for start in (0, 100, 200)}
    found = ranked(flagged, source_whole=source, **parts)
    assert named(found) == {"source_whole"}
    assert all(found[name].explained_by == "source whole" for name in parts)


def test_the_narrower_of_two_that_hold_all_flagged_rows_wins() -> None:
    narrow, wide = rows_from(0, 50), rows_from(0, 60)
    found = ranked(every(2, narrow) | every(100, ~wide), source_wide=wide, column_narrow=narrow)
    assert named(found) == {"column_narrow"}
    assert found["source_wide"].explained_by == "column narrow"


def test_an_annotator_who_did_most_of_a_bad_batch() -> None:
    batch = rows_from(0, 200)
    annotator = rows_from(40, 200) | rows_from(1_000, 1_160)
    flagged = every(4, batch) | every(50, ~batch)
    found = ranked(flagged, annotator_anna=annotator, batch_b1=batch)
    assert found["annotator_anna"].p_adjusted < 0.01
    assert named(found) == {"batch_b1"}
    # And the other way round, where it is the annotator wherever she worked.
    flagged = every(4, annotator) | every(50, ~annotator)
    assert named(ranked(flagged, annotator_anna=annotator, batch_b1=batch)) == {"annotator_anna"}


def test_columns_that_spell_the_symptom_leave_the_annotator_a_cause() -> None:
    # Complaints (stars 1) that one annotator called positive: wrong are those that are both.
    annotator, complaint = rows_from(0, ROWS * 3 // 10), every(2, rows_from(0, ROWS))
    positive = ~complaint | (annotator & every(4, rows_from(0, ROWS)))
    candidates = [
        Candidate(CauseKind.ANNOTATOR, "two", MaskedRows(annotator)),
        Candidate(CauseKind.COLUMN, "stars=1", MaskedRows(complaint)),
        Candidate(CauseKind.COLUMN, "label=positive", MaskedRows(positive)),
    ]
    found = rank(ROWS, complaint & positive, candidates).causes
    assert (found[0].kind, found[0].is_cause, found[0].explained_by) == (CauseKind.ANNOTATOR, True, None)


def test_what_is_only_associated_is_retested_too() -> None:
    bad = rows_from(0, 150)
    around = rows_from(0, 1_500)
    found = ranked(every(2, bad) | every(40, ~bad), batch_bad=bad, source_around=around)
    assert found["source_around"].p_adjusted < 0.01
    assert found["source_around"].lift_low < 1.5
    assert found["source_around"].explained_by == "batch bad"


def test_many_bad_sources_are_all_named() -> None:
    choice = np.random.default_rng(6)
    sources = choice.integers(0, 40, 20_000)
    flagged = choice.random(20_000) < np.where(sources < 12, 0.2, 0.01)
    codes = Codes(sources)
    candidates = [Candidate(CauseKind.SOURCE, f"{n:02}", CodedRows(codes, n)) for n in range(40)]
    # Most of each source's rows, once more.
    candidates += [
        Candidate(CauseKind.ARTIFACT, f"{n:02}", NumberedRows(np.flatnonzero(sources == n)[:-50]))
        for n in range(40)
    ]
    found = rank(20_000, flagged, candidates)
    assert {(each.kind, int(each.id)) for each in found.causes if each.is_cause} == {
        (CauseKind.SOURCE, number) for number in range(12)
    }
    assert all(earlier.is_cause or not later.is_cause for earlier, later in pairwise(found.causes))


def power_of(evaluated: int, flagged: int, candidates: int) -> Ranking:
    """Rank candidates that cause nothing."""
    choice = np.random.default_rng(5)
    mask = np.zeros(evaluated, np.bool_)
    mask[choice.choice(evaluated, flagged, replace=False)] = True
    some = [
        Candidate(CauseKind.SOURCE, str(n), MaskedRows(choice.random(evaluated) < 0.1))
        for n in range(candidates)
    ]
    return rank(evaluated, mask, some)


@pytest.mark.parametrize(
    ("evaluated", "flagged", "candidates"), [(200, 12, 1), (200, 12, 60), (20_000, 30, 100)]
)
def test_too_few_rows_are_said_in_words(evaluated: int, flagged: int, candidates: int) -> None:
    found = power_of(evaluated, flagged, candidates)
    assert found.power < 0.8
    assert found.too_few is not None
    assert f"{flagged} flagged of {evaluated} evaluated rows are too few" in found.too_few


@pytest.mark.parametrize(("evaluated", "flagged"), [(20_000, 200), (1_000, 400), (1_000_000, 10_000)])
def test_enough_rows_are_enough(evaluated: int, flagged: int) -> None:
    found = power_of(evaluated, flagged, 20)
    assert found.too_few is None
    assert found.power >= 0.8


def test_the_power_is_the_share_of_evaluations_that_name_such_a_cause() -> None:
    evaluated, flagged, rounds = 2_000, 60, 400
    stated = power_of(evaluated, flagged, 20).power
    assert 0.1 < stated < 0.95
    choice = np.random.default_rng(8)
    share = 3 * flagged / evaluated
    hits = 0
    for _ in range(rounds):
        # Margins as they are: flagged rows spread over both parts by their shares.
        own = np.zeros(evaluated, np.bool_)
        own[:200] = True
        rest = (flagged - 200 * share) / 1_800
        odds = (share / (1 - share)) / (rest / (1 - rest))
        scores = choice.exponential(size=evaluated) / np.where(own, odds, 1.0)
        mask = np.zeros(evaluated, np.bool_)
        mask[np.argsort(scores)[:flagged]] = True
        # As many others as there were candidates, each of a single row and hopeless.
        some = [Candidate(CauseKind.SOURCE, "cause", MaskedRows(own))]
        some += [Candidate(CauseKind.COLUMN, str(n), NumberedRows(np.array([500 + n]))) for n in range(19)]
        hits += rank(evaluated, mask, some).causes[0].is_cause
    assert hits / rounds == pytest.approx(stated, abs=0.08)


def test_no_answer_without_flagged_rows_without_others_or_without_candidates() -> None:
    some = [Candidate(CauseKind.SOURCE, "s", MaskedRows(rows_from(0, 100)))]
    whole = [Candidate(CauseKind.SOURCE, "s", MaskedRows(rows_from(0, ROWS)))]
    for flagged, candidates, words in (
        (rows_from(0, 0), some, "no evaluated row is flagged"),
        (rows_from(0, ROWS), some, "every evaluated row is flagged"),
        (rows_from(0, 1_500), some, "nothing is 1.5 times as bad"),
        (rows_from(0, 100), [], "there is no candidate"),
        (rows_from(0, 100), whole, "there is no candidate"),
    ):
        found = rank(ROWS, flagged, candidates)
        assert words in (found.too_few or "")
        assert not any(each.is_cause for each in found.causes)
    assert rank(0, np.zeros(0, np.bool_), []).causes == ()


def test_too_few_changes_no_cause() -> None:
    bad = rows_from(0, 8, 200)
    found = rank(200, bad | every(48, ~bad), [Candidate(CauseKind.SOURCE, "s", MaskedRows(bad))])
    assert found.too_few is not None
    assert found.causes[0].is_cause


def test_row_sets_of_other_rows_are_refused() -> None:
    flagged = rows_from(0, 10)
    for rows in (
        MaskedRows(rows_from(0, 5, 100)),
        NumberedRows(np.array([ROWS])),
        CodedRows(Codes(np.arange(3)), 1),
    ):
        with pytest.raises(UsageError):
            rank(ROWS, flagged, [Candidate(CauseKind.SOURCE, "s", rows)])
    with pytest.raises(UsageError):
        rank(ROWS + 1, flagged, [])
    with pytest.raises(UsageError):
        NumberedRows(np.array([-1]))
    with pytest.raises(UsageError):
        Codes(np.array([0, 1 << 40]))

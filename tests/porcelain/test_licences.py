"""What may be done with files, and whether a version may be given to others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsvc.cli.policy.licence_text import licence_fields, licence_lines
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.run_record import RunKind
from dsvc.porcelain.policy.licences import LicenceAnswer, MayNotBeSharedError, SharingUndeterminedError
from tests.porcelain.test_licence_rules import DAY, PACK, Tables
from tests.porcelain.working import Work


@pytest.fixture
def lab(work: Work) -> Tables:
    return Tables(work)


def answers(found: LicenceAnswer) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {each.what: (each.permission, each.by) for each in found.answers}


def policy(lab: Tables, more: str = "") -> None:
    text = f'[policy]\npacks = ["lic.toml"]\n{more}\n'
    lab.put({b"dsvc.toml": text.encode(), b"lic.toml": PACK.encode()})


def test_who_forbids_what(lab: Tables) -> None:
    nc, sa = lab.raw("nc", "CC-BY-NC-4.0"), lab.raw("sa", "CC-BY-SA-4.0")
    lab.raw("own", "LicenseRef-own")
    lab.make("mixed.csv", [nc, sa], RunKind.MIX)
    policy(lab, 'purpose = "commercial"')
    lab.commit()
    found = lab.repo.licence_of("mixed.csv", day=DAY)
    free = ("yes", ())
    assert answers(found) == {
        "use": ("no", ("nc",)),
        "commercial": ("no", ("nc",)),
        "adapt": free,
        "share_adapted": free,
        "redistribute": free,
    }
    assert (found.files, found.attribution, found.share_alike) == (1, ("nc", "sa"), ("CC-BY-SA-4.0",))
    assert (found.shareable, found.output_licences) == ("no", ())
    sold = lab.repo.licence_of("sa.csv", day=DAY)
    assert (answers(sold)["use"], sold.shareable) == (free, "yes")
    assert "CC-BY-SA-4.0" in sold.output_licences
    everything = lab.repo.licence_of(day=DAY)
    assert answers(everything)["commercial"] == ("no", ("nc",))
    assert answers(everything)["adapt"] == ("undetermined", ("own",))
    assert {each.source: each.own_terms for each in everything.sources} == {
        "nc": False,
        "own": True,
        "sa": False,
    }
    assert answers(lab.repo.licence_of("source:nc", day=DAY))["commercial"] == ("no", ("nc",))
    for target in ("source:none", "none.csv"):
        with pytest.raises(NotFoundError):
            lab.repo.licence_of(target)
    with pytest.raises(UsageError):
        lab.repo.licence_of("run:ab")


def test_of_what_has_no_source_nothing_is_known(lab: Tables) -> None:
    lab.raw("mit")
    lab.table("stray.csv")
    lab.commit()
    found = lab.repo.licence_of(day=DAY)
    assert found.unknown_files == ("stray.csv",)
    assert {each.permission for each in found.answers} == {"undetermined"}


def test_what_may_not_be_given_to_others_is_not_exported(lab: Tables, tmp_path: Path) -> None:
    nd, own = lab.raw("nd", "CC-BY-ND-4.0"), lab.raw("own", "LicenseRef-own")
    target = str(tmp_path / "out.tar")
    lab.make("clean.csv", [nd], RunKind.CLEAN)
    lab.commit()
    # Without a policy nothing is asked.
    lab.repo.archive("HEAD", target)
    Path(target).unlink()
    policy(lab)
    lab.commit()
    with pytest.raises(MayNotBeSharedError, match=r"clean.csv .*nd \(CC-BY-ND-4.0\)") as refused:
        lab.repo.archive("HEAD", target)
    assert refused.value.exit_code == 20
    # A version before the policy is judged by that of HEAD.
    with pytest.raises(MayNotBeSharedError):
        lab.repo.archive("HEAD~1", target)
    lab.put({b"clean.csv": None})
    lab.commit()
    with pytest.raises(SharingUndeterminedError, match=r"own.csv .*LicenseRef-own") as unknown:
        lab.repo.archive("HEAD", target)
    assert unknown.value.exit_code == 21
    assert not Path(target).exists()
    lab.repo.archive("HEAD", target, internal=True)
    event = json.loads(Path(lab.repo.layout.audit).read_text().splitlines()[-1])
    assert (event["event"], event["file"]) == ("archive-internal", "out.tar")
    Path(target).unlink()
    policy(lab, '[policy.licences."LicenseRef-own"]\nredistribute = "no"')
    lab.commit()
    with pytest.raises(MayNotBeSharedError, match="own"):
        lab.repo.archive("HEAD", target)
    policy(lab, '[policy.licences."LicenseRef-own"]\nredistribute = "yes"')
    lab.commit()
    # The unmodified file without derivatives may go out.
    assert lab.repo.archive("HEAD", target) > 0
    assert own.path == b"own.csv"
    lab.table("stray.csv")
    lab.repo.commit("unchecked", no_verify=True)
    with pytest.raises(SharingUndeterminedError, match="not all that they come from is known"):
        lab.repo.archive("HEAD", target)


def test_what_may_be_done_is_told_to_people(lab: Tables) -> None:
    nc = lab.raw("nc", "CC-BY-NC-4.0", purposes_allowed=["research"], territory=["CN"], expiry="2027-01-01")
    own = lab.raw("own", "LicenseRef-own")
    lab.make("mixed.csv", [nc, own], RunKind.MIX)
    lab.commit()
    found = lab.repo.licence_of("mixed.csv", day=DAY)
    assert list(licence_lines(found)) == [
        "1 file, from 2 sources",
        "  use, whatever for: not known, by nc (CC-BY-NC-4.0), own (LicenseRef-own)",
        "  use for gain: no, by nc (CC-BY-NC-4.0)",
        "  adapt it: not known, by own (LicenseRef-own)",
        "  give it to others adapted: not known, by own (LicenseRef-own)",
        "  give it to others as it is: not known, by own (LicenseRef-own)",
        "  give it to others united in one file: not known",
        "only for: research",
        "only in: cn",
        "until 2027-01-01",
        "name: nc (CC-BY-NC-4.0), own (LicenseRef-own)",
        "read the terms of: own (LicenseRef-own)",
    ]
    fields = licence_fields("mixed.csv", found)
    assert (fields["target"], fields["files"], fields["expiry"]) == ("mixed.csv", 1, "2027-01-01")
    assert json.dumps(fields)

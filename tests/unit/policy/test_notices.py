"""The notice that goes with data."""

from __future__ import annotations

import msgspec
import pytest

from dsvc.lineage.license_text import LicenseExpressionError
from dsvc.model.source_record import Acquisition, Evidence, LegalBasis, SourceRecord
from dsvc.policy.notices import notice_of, notice_text, notices

WEB = SourceRecord(
    source_id="web",
    title="网页语料",
    acquisition=Acquisition.OPEN_DATASET,
    legal_basis=LegalBasis.LICENCE,
    license_expression="CC-BY-4.0 AND LicenseRef-terms",
    evidence=(
        Evidence(type="licence_text", name="LICENSE", digest=b"\x01" * 32, size=1),
        Evidence(type="other", name="mail", digest=b"\x02" * 32, size=1),
    ),
    fields={"issuer": "研究所", "rightsholders": ["Ann", "Bo"], "url": "https://example.org/data"},
)


def test_a_notice_says_title_holders_licence_and_where_its_text_is() -> None:
    assert notice_text(notices([WEB, WEB])) == (
        "网页语料\n"
        "  by Ann, Bo\n"
        "  licence: CC-BY-4.0 AND LicenseRef-terms\n"
        "  https://spdx.org/licenses/CC-BY-4.0.html\n"
        f"  text of the licence: blake3:{'01' * 32}\n"
        "  from https://example.org/data\n"
        "  source: web\n"
    )
    assert notice_of(WEB).missing == ()
    assert notice_text([]) == ""


def test_what_was_published_nowhere_names_no_place() -> None:
    own = msgspec.structs.replace(WEB, fields={"issuer": "研究所"})
    text = notice_text(notices([own]))
    assert "  from " not in text
    assert text.endswith("  source: web\n")


def test_what_a_notice_lacks_is_named() -> None:
    bare = msgspec.structs.replace(WEB, title=" ", fields={"issuer": ""}, license_expression="undetermined")
    assert notice_of(bare).missing == ("title", "rightsholders or issuer", "license_expression")
    issued = msgspec.structs.replace(WEB, fields={"issuer": "研究所"})
    assert notice_of(issued).holders == ("研究所",)
    assert [each.holders for each in notices([issued, bare])] == [(), ("研究所",)]
    with pytest.raises(LicenseExpressionError):
        notice_of(msgspec.structs.replace(WEB, license_expression="MIT AND"))

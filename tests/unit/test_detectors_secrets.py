"""Secrets: what the library finds line by line is found, and nothing in the data switches it off."""

from __future__ import annotations

import base64
import gzip
import json
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.model.detection import DetectionStatus
from dsvc.policy.detectors.secret_finder import SecretFinder
from dsvc.policy.detectors.secret_lines import LINES
from dsvc.policy.detectors.secret_plugins import ENTROPY, plugins
from dsvc.policy.detectors.secrets import Secrets
from dsvc.policy.detectors.text_blocks import BLOCK_BYTES, PIECE_BYTES
from tests.detector_scans import found, kinds, only_hit, parquet, scan

SECRETS = Secrets()
FINDER = SecretFinder()
EXHAUSTIVE = SecretFinder(prefilter=False)
RNG = random.Random(8)
LOWER = string.ascii_lowercase + string.digits
WORD = string.ascii_letters + string.digits


def some(signs: str, count: int) -> str:
    return "".join(RNG.choices(signs, k=count))


def jwt() -> str:
    parts = [b'{"alg":"HS256"}', json.dumps({"sub": some(WORD, 8)}).encode(), some(WORD, 32).encode()]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


PLANTED = {
    "aliyun_access_key": lambda: "LTAI" + some(WORD, 20),
    "artifactory_credentials": lambda: RNG.choice([f" AKC{some(WORD, 12)} ", f'"AP5{some(WORD, 9)}"']),
    "aws_access_key": lambda: RNG.choice(
        [
            "AKIA" + some(string.ascii_uppercase + string.digits, 16),
            f"aws secret KEY = '{some(WORD, 40)}'",
        ]
    ),
    "azure_storage_account_access_key": lambda: "AccountKey=" + some(WORD + "+/=", 88),
    "basic_auth_credentials": lambda: f"ftp://{some(LOWER, 5)}:{some(WORD, 9)}@host.org/",
    "cloudant_credentials": lambda: RNG.choice(
        [
            f"cloudant_password: '{some('0123456789abcdef', 64)}'",
            f"CL-apikey=>{some(string.ascii_lowercase, 24)}",
        ]
    ),
    "discord_bot_token": lambda: f"M{some(WORD, 23)}.{some(WORD, 6)}.{some(WORD, 27)}",
    "github_token": lambda: "ghp_" + some(WORD, 36),
    "gitlab_token": lambda: (
        RNG.choice(["glpat-", "gldt-", "GR1348941", "glcbt-0a_", "glrt-"]) + some(WORD, 20)
    ),
    "google_api_key": lambda: "AIza" + some(WORD, 35),
    "hugging_face_token": lambda: "hf_" + some(string.ascii_letters, 34),
    "ibm_cloud_iam_key": lambda: f'"ibm_cloud_api_key" : "{some(WORD, 44)}"',
    "ibm_cos_hmac_credentials": lambda: f"cos_hmac_secret_access_key = {some('0123456789abcdef', 48)}",
    "json_web_token": jwt,
    "mailchimp_access_key": lambda: f"{some(LOWER, 32)}-us{RNG.randrange(1, 20)}",
    "npm_tokens": lambda: f"//registry.example.org/:_authToken=npm_{some(WORD, 36)}",
    "openai_token": lambda: f"sk-{some(WORD, 20)}T3BlbkFJ{some(WORD, 20)}",
    "private_key": lambda: RNG.choice(
        ["-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----"]
    ),
    "pypi_token": lambda: "pypi-AgEIcHlwaS5vcmc" + some(WORD, 75),
    "secret_keyword": lambda: RNG.choice(
        [
            f'"password": "{some(WORD, 9)}"',
            f"DB_PASS = '{some(WORD, 9)}'",
            f'api_key => "{some(WORD, 9)}"',
            f'private_key "{some(WORD, 9)}";',
            f'if ("{some(WORD, 9)}" == my_secret)',
            f'contraseña = "{some(WORD, 9)}"',
        ]
    ),
    "sendgrid_api_key": lambda: f"SG.{some(WORD, 22)}.{some(WORD, 43)}",
    "slack_token": lambda: RNG.choice(
        [
            f"xoxb-{some(string.digits, 9)}-{some(LOWER, 12)}",
            f"https://hooks.slack.com/services/T{some(WORD, 8)}/B{some(WORD, 8)}/{some(WORD, 24)}",
        ]
    ),
    "softlayer_credentials": lambda: f"softlayer_api_key='{some(LOWER, 64)}'",
    "square_oauth_secret": lambda: "sq0csp-" + some(WORD, 43),
    "stripe_access_key": lambda: "sk_live_" + some(WORD, 24),
    "telegram_bot_token": lambda: f"{some('123456789', 9)}:{some(WORD, 35)}",
    "tencent_cloud_key": lambda: "AKID" + some(WORD, 32),
    "twilio_api_key": lambda: "SK" + some(LOWER, 32),
}
CASES = [(kind, make()) for kind, make in PLANTED.items() for _ in range(6)]


def test_h51_every_plugin_of_the_library_has_a_pattern_and_a_case() -> None:
    asked = plugins(entropy=False, settings=False)
    assert {plugin.kind for plugin in asked} == set(PLANTED)
    assert {type(plugin.plugin).__name__ for plugin in asked} == set(LINES)
    assert not ENTROPY & set(LINES)  # these look at every line


@pytest.mark.parametrize("settings_file", [False, True])
def test_choosing_lines_first_finds_the_same_of_every_kind(settings_file: bool) -> None:
    lines = [
        text
        for _, value in CASES
        for text in (value, f"中文，{value}。更多", f"x={value} # y", value.lower(), value.upper())
    ]
    chosen = SecretFinder(settings=settings_file)
    every = SecretFinder(settings=settings_file, prefilter=False)
    expected = found(every, lines)
    assert found(chosen, lines) == expected
    if not settings_file:
        assert {kind for _, _, kind, _ in expected} == set(PLANTED)


SIGNS = st.sampled_from(
    [value for _, value in CASES[::3]]
    + ["password", "secret", "apikey", "token", "aws", "=", ":", ":=", "=>", '"', "'", "`", " ", "\u00a0",
       "\u017fecret", ";", "中", "://", "@", "a", "Z9", "[", "]", ".", "-", "_", "!=", "==", "(", ")",
       "\\", "\x0b", "\u212a"]
)  # fmt: skip


@given(st.lists(st.lists(SIGNS, max_size=7).map("".join), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_choosing_lines_first_finds_the_same(lines: list[str]) -> None:
    assert found(FINDER, lines) == found(EXHAUSTIVE, lines)


@pytest.mark.parametrize(("kind", "value"), CASES[::6])
def test_h51_each_kind_is_found_in_files_of_every_sort(kind: str, value: str) -> None:
    record = json.dumps({"t": f"text\n{value}\nmore 中文"})
    assert kind in kinds(SECRETS, f"first\n{value}\n")
    assert kind in kinds(SECRETS, record, "a.jsonl")
    assert kind in kinds(SECRETS, record, "a.log")
    assert kind in kinds(SECRETS, parquet({"t": ["x", f"a\n{value}\n"]}), "a.parquet")
    doubled = value.replace('"', '""')
    assert kind in kinds(SECRETS, f'a,b\n1,"{doubled}"\n', "a.csv")
    assert kind in kinds(SECRETS, f"\n{value}\n".encode("utf-16"))
    assert kind in kinds(SECRETS, gzip.compress(f"{value}\n".encode(), mtime=0), "a.bin")


def test_every_password_of_a_long_line_is_found() -> None:
    text = " and ".join(f'password = "hunter{number:04}" {"." * 700}' for number in range(30))
    assert kinds(SECRETS, text) == {"secret_keyword": 30}


def test_h51_no_comment_in_the_data_hides_a_secret() -> None:
    for mark in (
        "# pragma: allowlist secret",
        "// pragma: allowlist nextline secret",
        "# pragma: whitelist secret",
    ):
        assert kinds(SECRETS, f'{mark}\npassword = "hunter2abc" {mark}\n') == {"secret_keyword": 1}


@pytest.mark.parametrize(
    "text",
    [
        '"password": "${PASSWORD}"',
        'password = "<your password>"',
        'password: "*****"',
        '{"secret": "the gardener did it"}',
        '{"secret": "没有秘密"}',
        "my secret is that I forgot the password",
        "https://user:{password}@host",
        "sha256: d2d2d2e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        'id: "550e8400-e29b-41d4-a716-446655440000"',
        "114.114.114.114",
    ],
)
def test_h51_near_misses_are_left_alone(text: str) -> None:
    assert kinds(SECRETS, f"{text}\n") == {}


def test_settings_need_no_quotes_and_data_do() -> None:
    assert kinds(SECRETS, "password: hunter2abc\n", "a.yaml") == {"secret_keyword": 1}
    assert kinds(SECRETS, "password: hunter2abc\n", "a.txt") == {}


def test_a_private_key_over_several_lines_is_one_hit() -> None:
    text = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----\n"
    hit = only_hit(SECRETS, f"x\n{text}")
    assert (hit.kind, hit.line, hit.shown) == ("private_key", 2, "BEGIN RSA PRIVATE KEY")
    assert kinds(SECRETS, json.dumps({"k": text}), "a.jsonl") == {"private_key": 1}


def test_h51_a_hit_shows_its_front_only() -> None:
    value = "AKIA" + "ABCDEFGHIJ234567"
    assert only_hit(SECRETS, f"x {value}").shown == "AKI*****************"


def test_what_is_no_text_is_looked_at_too() -> None:
    data = b"\0\1\2\xff" * 400 + b"ghp_" + b"a1" * 18 + b"\0\0"
    hit = only_hit(SECRETS, data, "a.bin")
    assert (hit.kind, hit.line) == ("github_token", None)
    archive = scan(SECRETS, b"PK\x03\x04" + bytes(99), "a.zip")
    assert archive.status is DetectionStatus.CLEAN
    assert "compressed" in str(archive.reason)


def test_a_secret_across_any_border_counts_once() -> None:
    value = "hf_" + "aB" * 17
    for border in (PIECE_BYTES, BLOCK_BYTES):
        for shift in (-36, -1, 0, 1):
            data = "," * (border + shift) + value + "," * PIECE_BYTES + value
            for text in (data, "\0" * 9 + data):
                counts = kinds(SECRETS, text.encode())
                # Twice on one line: once, or once for each block of a line that is longer than one.
                assert counts["hugging_face_token"] in (1, 2), (border, shift)


def test_random_strings_are_secrets_only_where_that_is_asked_for() -> None:
    text = f'{{"digest": "{some("0123456789abcdef", 64)}"}}\n'
    assert kinds(SECRETS, text) == {}
    assert kinds(Secrets(entropy=True), text) == {"hex_high_entropy_string": 1}
    assert Secrets().config() != Secrets(entropy=True).config()


def test_damaged_compression_is_unknown() -> None:
    assert (
        scan(SECRETS, gzip.compress(b"plain\n" * 999, mtime=0)[:-20], "a.txt.gz").status
        is DetectionStatus.UNKNOWN
    )

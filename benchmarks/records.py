"""Made-up text records: the same seed gives the same bytes, on every machine."""

import json
import random
from datetime import UTC, datetime, timedelta
from functools import cache

_ONSETS = (*"bcdfghlmnprstvw", "st", "tr", "pr", "ch", "sh")
_VOWELS = ("a", "e", "i", "o", "u", "ea", "ou", "io", "ai")
_CODAS = ("", "", "n", "r", "s", "t", "l", "d", "m", "ng", "nt", "ck", "ve", "ce")
_TOPICS = ("agriculture", "energy", "finance", "health", "language", "law", "sport", "transport", "weather")
_SITES = ("archive.example", "forum.example", "news.example", "papers.example", "wiki.example")
_LANGUAGES = ("en", "en", "en", "de", "fr", "es", "pt", "zh")
_SPLITS = ("train",) * 8 + ("valid", "test")
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
VOCABULARY = 6_000
PHRASES = 500
PHRASE_SHARE = 0.55
DRAWS = 1 << 16


def _syllable(rng: random.Random) -> str:
    return f"{rng.choice(_ONSETS)}{rng.choice(_VOWELS)}{rng.choice(_CODAS)}"


@cache
def vocabulary() -> tuple[str, ...]:
    """Pseudo-words, the frequent ones short, as in natural language."""
    rng = random.Random("vocabulary")
    words: set[str] = set()
    while len(words) < VOCABULARY:
        syllables = rng.choice((1, 1, 2, 2, 2, 3, 3))
        words.add("".join(_syllable(rng) for _ in range(syllables)))
    return tuple(sorted(sorted(words), key=lambda word: (len(word) + rng.random() * 4, word)))


@cache
def phrases() -> tuple[str, ...]:
    """Turns of phrase: two to six words that keep coming together."""
    rng = random.Random("phrases")
    words = vocabulary()
    weights = [1 / (rank + 2.7) for rank in range(len(words))]
    return tuple(" ".join(rng.choices(words, weights, k=rng.randint(2, 6))) for _ in range(PHRASES))


@cache
def draws() -> tuple[str, ...]:
    """65,536 words and phrases by Zipf's law: indexing it with 16 random bits draws one.

    One in fourteen ends a sentence, one in twenty is followed by a comma.
    """
    rng = random.Random("draws")
    drawn: list[str] = []
    for pool, share in ((vocabulary(), 1 - PHRASE_SHARE), (phrases(), PHRASE_SHARE)):
        weights = [1 / (rank + 2.7) for rank in range(len(pool))]
        drawn += rng.choices(pool, weights, k=round(DRAWS * share))
    return tuple(_punctuated(word, rng.random()) for word in drawn)


def _punctuated(word: str, chance: float) -> str:
    if chance < 1 / 14:
        return word + "."
    if chance < 1 / 14 + 1 / 20:
        return word + ","
    return word


def text(rng: random.Random, units: int) -> str:
    """Running text of `units` words and phrases; a unit has two and a half words on average."""
    table = draws()
    joined = " ".join([table[index] for index in memoryview(rng.randbytes(2 * units)).cast("H")])
    return joined[0].upper() + joined[1:]


def record(rng: random.Random, number: int) -> dict[str, object]:
    """One annotated document, about 0.9 kB as JSON."""
    topic = rng.choice(_TOPICS)
    body = text(rng, rng.randint(24, 44))
    site = rng.choice(_SITES)
    collected = _EPOCH + timedelta(seconds=number * 7 + rng.randint(0, 6))
    return {
        "id": f"doc-{number:08d}",
        "key": f"{rng.getrandbits(64):016x}",
        "url": f"https://{site}/{topic}/{number}.html",
        "language": rng.choice(_LANGUAGES),
        "collected_at": collected.isoformat(),
        "split": rng.choice(_SPLITS),
        "title": text(rng, rng.randint(1, 4)),
        "text": body,
        "characters": len(body),
        "labels": {
            "topic": topic,
            "quality": round(rng.random(), 4),
            "toxicity": round(rng.random() ** 6, 4),
        },
        "annotations": [
            {
                "annotator": f"ann-{rng.randint(1, 40):02d}",
                "label": rng.choice(_TOPICS),
                "seconds": rng.randint(3, 90),
            }
            for _ in range(2)
        ],
    }


def revised(original: dict[str, object], rng: random.Random) -> dict[str, object]:
    """The record after a correction by hand: a new label, one sentence more, a note of it."""
    labels = {"topic": rng.choice(_TOPICS), "quality": round(rng.random(), 4), "toxicity": 0.0}
    return {**original, "text": f"{original['text']} {text(rng, 4)}", "labels": labels, "revision": 2}


def line(value: dict[str, object]) -> bytes:
    """The record as one line of JSON."""
    return json.dumps(value, separators=(", ", ": ")).encode() + b"\n"

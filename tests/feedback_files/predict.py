"""The model of all fixtures: says what a review is by a few words, and is wrong on reviews 5 and 6."""

WORDS = ("好", "态", "Great", "Love")


def predict(text: str) -> str:
    """Give the label."""
    return "positive" if any(word in text for word in WORDS) else "negative"

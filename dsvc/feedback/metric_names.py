"""What the names of common metrics say: which way is better, and what is a mean or a share.

Names are taken without their filter (``acc,none``), in lower case, with ``_`` for blanks and hyphens; of
``task/acc`` the last part. A name that is not known says nothing: what it means is never guessed beyond the
endings listed here.
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MEANS_HIGHER: Final = _words("""
    acc accuracy acc_norm acc_mutual_info exact_match em exact quasi_exact_match match includes correct
    pass_rate passed success_rate win_rate pass@1 pass_at_1 hit_rate mean_score mean_reward
""")
_MEANS_LOWER: Final = _words("""
    error_rate failure_rate fail_rate refusal_rate hallucination_rate toxicity_rate misclassification_rate
    mae mse mean_absolute_error mean_squared_error mean_loss log_loss brier brier_score
""")
_MEANS: Final = _words("mean average avg") | _MEANS_HIGHER | _MEANS_LOWER
_OVER_A_PART: Final = _words("""
    precision recall sensitivity specificity false_positive_rate false_negative_rate fpr fnr
    f1 f1_score macro_f1 micro_f1 weighted_f1 f1_macro f1_micro f1_weighted balanced_accuracy
    auc auroc roc_auc auprc pr_auc kappa cohen_kappa mcc matthews_corrcoef bleu sacrebleu chrf ece
""")
"""From 0 to 1, but not over all samples, or no mean at all: with `n` their spread is not known."""
_HIGHER: Final = (
    _MEANS_HIGHER
    | _words("average_precision map mrr ndcg r2 r2_score meteor rouge1 rouge2 rougel rougelsum bertscore")
    | _words("bert_score iou dice pearson spearman mc1 mc2")
    | (_OVER_A_PART - _words("false_positive_rate false_negative_rate fpr fnr ece"))
)
_LOWER: Final = _MEANS_LOWER | _words("""
    loss nll negative_log_likelihood cross_entropy perplexity ppl word_perplexity byte_perplexity
    bits_per_byte error wer cer ter rmse root_mean_squared_error latency hallucination toxicity ece
    false_positive_rate false_negative_rate fpr fnr
""")
_SHARES_LOWER: Final = _words("""
    error_rate failure_rate fail_rate refusal_rate hallucination_rate toxicity_rate misclassification_rate
    hallucination toxicity
""")
_NO_SHARES: Final = (
    (_LOWER - _SHARES_LOWER)
    | _OVER_A_PART
    | _words("mean_reward r2 r2_score pearson spearman mean average avg")
)
_HIGHER_ENDINGS: Final = ("_accuracy", "_acc", "_f1", "_precision", "_recall", "_auc", "_pass_rate")
_LOWER_ENDINGS: Final = ("_loss", "_error", "_error_rate", "_perplexity", "_latency")
_MEAN_ENDINGS: Final = ("_accuracy", "_acc", "_error_rate", "_pass_rate")
_NO_SHARE_ENDINGS: Final = (
    *("_loss", "_error", "_perplexity", "_latency", "_reward"),
    *("_f1", "_precision", "_recall", "_auc"),
)
PERCENT: Final = frozenset({"%", "percent", "percentage", "pct"})
_SHARE_UNITS: Final = PERCENT | frozenset({"", "1", "share", "ratio", "fraction", "proportion"})


def plain(name: str) -> str:
    """Name of a metric as these lists have it."""
    last = name.partition(",")[0].strip().rpartition("/")[2]
    return last.strip().lower().replace("-", "_").replace(" ", "_")


def known_direction(name: str) -> bool | None:
    """Whether higher is better, or None where the name doesn't say."""
    found = plain(name)
    if found in _HIGHER or found in _LOWER:
        return found in _HIGHER
    if found.endswith(_HIGHER_ENDINGS) or found.startswith(("pass@", "rouge_", "bleu_")):
        return True
    return False if found.endswith(_LOWER_ENDINGS) else None


def is_mean(name: str) -> bool:
    """Whether the metric is the mean of its samples' values."""
    found = plain(name)
    return found in _MEANS or (found.endswith(_MEAN_ENDINGS) and found not in _OVER_A_PART)


def may_be_share(name: str, unit: str | None) -> bool:
    """Whether the metric may be a share of its samples: no name or unit says that it is something else."""
    found = plain(name)
    if unit is not None and unit.strip().lower() not in _SHARE_UNITS:
        return False
    return found not in _NO_SHARES and not found.endswith(_NO_SHARE_ENDINGS)


def is_percent(unit: str | None) -> bool:
    """Whether values are in hundredths."""
    return unit is not None and unit.strip().lower() in PERCENT

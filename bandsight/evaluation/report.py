"""Formats evaluation results as a Markdown table."""

from collections.abc import Callable, Mapping
from typing import Any


def markdown(model: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table with one row per data set.

    Args:
        model: Name of the model.
        results: Results of `evaluate` by data set.
    """
    columns: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "images": lambda r: str(r["images"]),
        "image→text R@1 / 5 / 10": lambda r: _three(r, "image_to_text"),
        "text→image R@1 / 5 / 10": lambda r: _three(r, "text_to_image"),
        "mean recall": lambda r: _number(r, "retrieval", "mean_recall"),
        "zero-shot, mean over classes": lambda r: _number(r, "zero_shot", "top1", "%"),
        "RGB with all bands; other places": lambda r: _two(r, "bands", "rgb_with_all", "different_places"),
        "wordings": lambda r: _number(r, "paraphrases", "top10_overlap"),
        "something matches: precision; recall": lambda r: _two(
            r, "nothing_matches", "archive_precision", "archive_recall"
        ),
        "calibration error": lambda r: _number(r, "calibration", "expected_calibration_error"),
    }
    lines = [f"Model: {model}", "", "| data | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 1)]
    for name, result in results.items():
        # Escape bars and line breaks, which would start a new cell or row.
        shown = " ".join(name.replace("|", "\\|").split())
        lines.append(f"| {shown} | " + " | ".join(cell(result) for cell in columns.values()) + " |")
    return "\n".join(lines) + "\n"


def _three(result: Mapping[str, Any], way: str) -> str:
    found = result.get("retrieval")
    return " / ".join(_with_interval(found, f"{way}_r{k}") for k in (1, 5, 10)) if found else "-"


def _two(result: Mapping[str, Any], section: str, first: str, second: str) -> str:
    found = result.get(section)
    return f"{_with_interval(found, first)}; {_with_interval(found, second)}" if found else "-"


def _number(result: Mapping[str, Any], section: str, key: str, unit: str = "") -> str:
    found = result.get(section)
    return _with_interval(found, key, unit) if found else "-"


def _with_interval(found: Mapping[str, Any], key: str, unit: str = "") -> str:
    """Format a metric with its 95% interval, if it has one."""
    bounds = found.get("intervals", {}).get(key) or found.get("interval")
    return f"{found[key]:g}{unit}" + (f" ({bounds[0]:g}–{bounds[1]:g})" if bounds else "")

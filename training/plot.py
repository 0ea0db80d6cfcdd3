"""Draws a run's log: losses and figures by epoch."""

from pathlib import Path
from typing import Any


def plot(log: list[dict[str, Any]], path: Path) -> None:
    """Write a PNG with losses on the left and the validation part's figures on the right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    losses, figures = figure.subplots(1, 2)
    epochs = [row["epoch"] + 1 for row in log]
    for name in ("caption", "labels", "bands"):
        losses.plot(epochs, [row[name] for row in log], label=name)
    losses.set(title="losses", xlabel="epoch", yscale="log")
    names = {
        "rsicd_mean_recall": "RSICD mean recall",
        "ucm_mean_recall": "UCM mean recall",
        "rsicd_zero_shot": "RSICD zero-shot",
        "ucm_zero_shot": "UCM zero-shot",
    }
    for key, label in names.items():
        figures.plot(epochs, [row[key] for row in log], label=label)
    figures.set(title="validation part, percent", xlabel="epoch")
    for axes in (losses, figures):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)

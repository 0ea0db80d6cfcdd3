"""Bandsight: find every place that looks like this, over satellite archives of any sensor."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bandsight.client import connect as connect

__version__ = "0.1.0"
__all__ = ["__version__", "connect"]


def __getattr__(name: str) -> object:
    # Loaded on first use, so that importing the version or a core module stays fast.
    if name == "connect":
        from bandsight.client import connect

        return connect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Sentences about classes and labels, and typical wordings of queries, for training in addition to the captions."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from bandsight.search.prompt_templates import TEMPLATES

# Wordings of queries, in addition to the templates for class names.
WORDINGS = (
    *TEMPLATES,
    "show me {}",
    "find places with {}",
    "{} from space",
    "satellite picture showing {}",
    "where is there {}",
    "looking for {}",
    "where are {}",
    "show me places with {}",
    "a place with {}",
    "an area of {}",
    "which places show {}",
    "{} in an aerial image",
    "remote sensing image of {}",
    "a view of {} from a satellite",
)
# Words that people omit when they type in a hurry.
_LEFT_OUT = """
a an the is are was were be of in on at to with and or there this that it its some many several lots lot piece next near
beside by around between from into which while has have can see seen we it's
"""
_STOP = frozenset(_LEFT_OUT.split())


@cache
def vocabulary() -> dict[str, Any]:
    """Return vocabulary.toml: `classes`, `labels`, each name → phrases; `shared`: groups of the first two."""
    return tomllib.loads((Path(__file__).parent / "vocabulary.toml").read_text(encoding="utf-8"))


def class_prompts(cls: str) -> list[str]:
    """Return a class and its synonyms, each in every template."""
    names = [cls, *vocabulary()["classes"].get(cls, [])]
    return [template.format(name) for name in names for template in WORDINGS]


def label_prompts(label: str) -> list[str]:
    """Return the phrases of a label in a few templates."""
    return [template.format(phrase) for phrase in vocabulary()["labels"][label] for template in WORDINGS[:7]]


def keywords(caption: str) -> str:
    """Return a caption as typed in a hurry: `there are many planes on the apron` → `planes apron`."""
    kept = [word for word in caption.split() if word not in _STOP]
    return " ".join(kept[:6]) or caption

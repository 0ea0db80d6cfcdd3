"""Prompt templates that turn a class name into sentences; their mean represents the class."""

TEMPLATES = (
    "{}",
    "an aerial photo of {}",
    "a satellite image of {}",
    "there is {} in the picture",
    "an overhead view of {}",
    "{} seen from above",
)


def class_sentences(name: str) -> list[str]:
    """Insert a class name into every template."""
    return [template.format(name) for template in TEMPLATES]

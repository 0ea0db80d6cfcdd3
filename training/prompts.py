"""Sentences about a class, for training beside the captions and for zero-shot tests."""

TEMPLATES = (
    "an aerial photo of {}",
    "a satellite image of {}",
    "{}",
    "there is {} in the picture",
    "an overhead view of {}",
    "{} seen from above",
)


def class_prompts(cls: str) -> list[str]:
    """Return the class in each template."""
    return [template.format(cls) for template in TEMPLATES]

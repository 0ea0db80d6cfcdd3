"""How a class name becomes sentences: the templates whose mean stands for it."""

TEMPLATES = (
    "{}",
    "an aerial photo of {}",
    "a satellite image of {}",
    "there is {} in the picture",
    "an overhead view of {}",
    "{} seen from above",
)


def class_sentences(name: str) -> list[str]:
    """Return a class name in every template."""
    return [template.format(name) for template in TEMPLATES]

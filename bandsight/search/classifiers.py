"""Trained classifiers for ranking and filtering: `classifier:NAME > 0.8`."""

import re
from dataclasses import dataclass

import numpy as np

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.catalog.labels import Classifier, Head
from bandsight.errors import NotFoundError, QueryError
from bandsight.search.scorers import LinearScorer

PREFIX = "classifier:"
_FORM = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(?:/(?P<cls>[^@<>=]+?))?(?:@(?P<version>[0-9]{1,9}))?\s*(?:>=?\s*(?P<least>[0-9.]{1,20}))?"
)
_NEEDED = "need NAME, NAME/CLASS or NAME@VERSION, optionally followed by '> PROBABILITY' as threshold"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierTerm:
    """A reference to a class of a trained classifier in a request."""

    name: str
    """Name of the label collection."""
    cls: str | None = None
    """The class, or None for a classifier of one class."""
    version: int | None = None
    """Version of the classifier, or None for the newest."""
    least: float | None = None
    """Minimum probability, 0..1; None for no threshold."""

    @classmethod
    def parse(cls, text: str) -> "ClassifierTerm":
        """Parse a term, with or without the prefix `classifier:`.

        Raises:
            QueryError: It is not a valid term.
        """
        found = _FORM.fullmatch(text.strip().removeprefix(PREFIX).strip())
        try:
            least = None if found is None or found["least"] is None else float(found["least"])
        except ValueError:
            found, least = None, None
        if found is None or not 0 <= (least or 0) <= 1:
            raise QueryError(f"classifier: found {text[:80]!r}; {_NEEDED} of 0 to 1, e.g. ponds > 0.8")
        version = None if found["version"] is None else int(found["version"])
        return cls(name=found["name"], cls=found["cls"], version=version, least=least)

    def resolve(self, archive: Archive) -> tuple[Classifier, Head]:
        """Return the classifier and its head for the class.

        Raises:
            NotFoundError: There is no such collection, classifier, version or class.
            QueryError: It was trained with another model, or has several classes and none is given.
        """
        classifier = archive.labels.classifier(self.name, self.version)
        classes = [head.cls for head in classifier.heads]
        if self.cls is None:
            if len(classes) > 1:
                raise QueryError(
                    f"classifier {self.name}: it has {', '.join(classes)}; name one, e.g. "
                    f"{PREFIX}{self.name}/{classes[0]}"
                )
            return classifier, classifier.heads[0]
        for head in classifier.heads:
            if head.cls == self.cls:
                return classifier, head
        raise NotFoundError(
            f"classifier {self.name}: version {classifier.version} has no class {self.cls[:60]!r}; it has "
            f"{', '.join(classes)}"
        )


def scorer_of(head: Head) -> LinearScorer:
    """Return the scorer of a head; its scores are probabilities."""
    return LinearScorer(head.weights, head.bias)


def passing(archive: Archive, term: ClassifierTerm, where: Filter) -> Filter:
    """Return a filter for the tiles that reach a term's threshold (default 0.5), with one scan of all vectors.

    Args:
        archive: The archive.
        term: The classifier and the threshold.
        where: Other conditions; tiles that fail them are not scored.

    Raises:
        NotFoundError: There is no such classifier.
        QueryError: It is invalid.
    """
    scorer = scorer_of(term.resolve(archive)[1])
    found = archive.similarities(scorer.directions, where)
    least = np.float32(0.5 if term.least is None else term.least)
    ids = found.selection.ids[scorer.combine(found.scores) >= least]
    return ~Filter(exclude=tuple(ids.tolist())) if len(ids) else Filter(up_to=-1)

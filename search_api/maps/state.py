"""State that the map routes keep between requests."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from bandsight.change.heatmap import ChangeCache
from bandsight.maps.scores import ScoreCache
from bandsight.search.question import Question, question_of
from bandsight.search.request import Filters
from search_api.service import Service

# Number of saved searches whose queries are cached.
_QUESTIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MapState:
    """State of one app."""

    scores: ScoreCache = field(default_factory=ScoreCache)
    """Scores of every tile."""
    changes: ChangeCache = field(default_factory=ChangeCache)
    """Comparisons of two periods."""
    questions: OrderedDict[tuple[str, int], Question] = field(default_factory=OrderedDict)
    """Resolved queries of saved searches, by id and generation, because a commit can change the tiles at an example
    place."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Lock for `questions`."""

    def question(self, service: Service, search_id: str, body: Filters) -> Question:
        """Return the resolved query of a saved search.

        Raises:
            QueryError: The query is no longer valid.
            NotFoundError: An example tile no longer exists.
        """
        key = (search_id, service.archive.generation)
        with self.lock:
            if key not in self.questions:
                made = question_of(service.searcher, body.q, body.semantic)
                assert made is not None
                self.questions[key] = made
                while len(self.questions) > _QUESTIONS:
                    self.questions.popitem(last=False)
            return self.questions[key]

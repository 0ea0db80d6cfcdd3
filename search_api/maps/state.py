"""State of the routes of maps that lives between requests."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from bandsight.maps.scores import ScoreCache
from bandsight.search.request import Filters
from bandsight.search.resolve import Question, question_of
from search_api.service import Service

# Registered searches whose questions are kept.
_QUESTIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MapState:
    """State of one app."""

    scores: ScoreCache = field(default_factory=ScoreCache)
    """Scores of every tile."""
    questions: OrderedDict[tuple[str, int], Question] = field(default_factory=OrderedDict)
    """Questions of registered searches by id and generation; a commit can change the tiles that a place stands for."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while `questions` changes."""

    def question(self, service: Service, search_id: str, body: Filters) -> Question:
        """Return the question of a registered search.

        Raises:
            QueryError: It can no longer be answered.
            NotFoundError: A tile that is an example is gone.
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

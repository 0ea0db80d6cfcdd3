"""Answers a search request: the one way from a request to a page of results, for every program."""

from bandsight.search.items import ResultPage, answer
from bandsight.search.question_ranking import QuestionRanking
from bandsight.search.request import SearchBody, query_of_body
from bandsight.search.resolve import question_of
from bandsight.search.searcher import Searcher


def search(searcher: Searcher, request: SearchBody) -> ResultPage:
    """Return a page of results.

    Args:
        searcher: Archive and model.
        request: What is searched for; without `q` and `semantic`, items are listed.

    Raises:
        QueryError: The request, its filter or its token cannot be used.
        NotFoundError: A tile that is an example is not in the archive.
    """
    question = question_of(searcher, request.q, request.semantic)
    ranking = None if question is None else QuestionRanking(searcher, question)
    return answer(searcher.archive, query_of_body(request, searcher.max_hits), ranking)

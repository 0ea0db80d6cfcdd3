"""The archive made of numbers that the STAC tests use too."""

from tests.search_api.stac.conftest import many, stac

__all__ = ["many", "stac"]

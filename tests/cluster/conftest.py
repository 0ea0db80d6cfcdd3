from tests.indexer.conftest import archive, encoder  # noqa: F401  (fixtures)

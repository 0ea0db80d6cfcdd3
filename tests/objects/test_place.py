"""URLs of files on object storage."""

import pytest

from bandsight.errors import ArchiveError
from bandsight.objects.place import Place


def test_a_url_has_bucket_prefix_and_options() -> None:
    place = Place.parse("s3://bucket/a/b/?endpoint=https://h:9000/&region=eu&timeout_s=5&cache_gb=0.5&keep_unnamed_s=0")
    assert (place.bucket, place.prefix, place.endpoint, place.region) == ("bucket", "a/b", "https://h:9000", "eu")
    assert (place.timeout_s, place.cache_bytes, place.keep_unnamed_s) == (5, 500_000_000, 0)
    assert str(place) == "s3://bucket/a/b"
    plain = Place.parse("s3://bucket")
    assert (plain.prefix, plain.endpoint, plain.cache_bytes, plain.keep_unnamed_s) == ("", None, 20 * 10**9, 3600)
    assert str(plain) == "s3://bucket"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3:///a", "found the bucket ''; need 3 to 63"),
        ("s3://A_b/a", "found the bucket 'A_b'"),
        ("s3://bucket/a//b", "found the prefix 'a//b'"),
        ("s3://bucket/a/../b", "found the prefix"),
        ("s3://bucket/ü", "found the prefix"),
        ("http://bucket/a", "need s3://BUCKET/PREFIX"),
        ("s3://bucket/a#b", "need s3://BUCKET/PREFIX"),
        ("s3://key:secret@bucket/a", "the credentials in AWS_ACCESS_KEY_ID"),
        ("s3://bucket:9000/a", "found a user, a password or a port before the bucket"),
        ("s3://bucket:port/a", "files: "),
        ("s3://bucket/a?endpoint=h:9000", "endpoint=h:9000: need https://HOST"),
        ("s3://bucket/a?endpoint=https://k:s@h", "need https://HOST"),
        ("s3://bucket/a?secret=x", "unknown parameters secret; allowed are"),
        ("s3://bucket/a?timeout_s=0", "timeout_s=0: need more than 0"),
        ("s3://bucket/a?timeout_s=nan", "timeout_s=nan: need more than 0"),
        ("s3://bucket/a?cache_gb=inf", "cache_gb=inf: need more than 0"),
        ("s3://bucket/a?keep_unnamed_s=-1", "keep_unnamed_s=-1: need 0 or more"),
        ("s3://bucket/a?cache_gb=", "cache_gb=: need a number"),
    ],
)
def test_an_invalid_part_of_a_url_is_named(url: str, words: str) -> None:
    with pytest.raises(ArchiveError, match=words.replace("?", r"\?")) as caught:
        Place.parse(url)
    assert "secret@" not in str(caught.value)

"""Query images are decoded in worker processes with a time limit."""

import io
import os
import signal
import threading

import numpy as np
import pytest
from PIL import Image

from bandsight.errors import BusyError, ImageError
from bandsight.query_image import MAX_PIXELS, decode_query_image
from search_api.decoding import Decoder
from tests.rasters import picture, write

LONG_S = 60.0


def png(side: int = 40, seed: int = 1) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(3, side, side, seed=seed).transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def decoder():
    pool = Decoder(1, queue_timeout_s=0.05)
    yield pool
    pool.close()


def decode(decoder, data=None, waves=None, limit_s=LONG_S):
    return decoder.decode(data or png(), waves, max_pixels=MAX_PIXELS, time_limit_s=limit_s)


def test_workers_decode_like_this_process(decoder, tmp_path):
    tiff = tmp_path / "five.tif"
    write(tiff, picture(5, 30, 20, seed=2))
    waves = (0.49, 0.56, 0.665, 0.842, 1.6)
    for data, wavelengths in ((png(), None), (tiff.read_bytes(), waves)):
        pixels, found = decode(decoder, data, wavelengths)
        expected, expected_waves = decode_query_image(data, wavelengths)
        np.testing.assert_array_equal(pixels, expected)
        assert found == expected_waves


def test_an_image_that_cannot_be_decoded_gives_the_same_error_and_the_worker_survives(decoder):
    decode(decoder)
    before = decoder._idle[0]
    for data in (b"GIF89a", b"<VRTDataset/>", png()[:-30]):
        with pytest.raises(ImageError) as here:
            decode_query_image(data)
        with pytest.raises(ImageError) as there:
            decode(decoder, data)
        assert str(there.value) == str(here.value)
    assert decoder._idle == [before]


def test_an_image_that_takes_too_long_affects_no_other(decoder):
    decode(decoder)
    stuck = decoder._idle[0]
    os.kill(stuck._popen.pid, signal.SIGSTOP)
    with pytest.raises(ImageError, match=r"not decoded within 0\.2 s; send a smaller"):
        decode(decoder, limit_s=0.2)
    assert stuck._popen.returncode is not None
    assert decode(decoder)[0].shape == (3, 40, 40)


def test_a_crashed_process_affects_at_most_one_image(decoder):
    decode(decoder)
    os.kill(decoder._idle[0]._popen.pid, signal.SIGKILL)
    decoder._idle[0]._popen.wait()
    decode(decoder)
    dies = decoder._idle[0]
    os.kill(dies._popen.pid, signal.SIGSTOP)
    killer = threading.Timer(0.3, dies._popen.kill)
    killer.start()
    with pytest.raises(ImageError, match="the decoder crashed"):
        decode(decoder)
    killer.join()
    decode(decoder)


def test_images_wait_for_a_worker_with_a_timeout(decoder):
    decode(decoder)
    os.kill(decoder._idle[0]._popen.pid, signal.SIGSTOP)
    failures = []

    def slow():
        try:
            decode(decoder, limit_s=1.0)
        except ImageError as error:
            failures.append(error)

    thread = threading.Thread(target=slow)
    thread.start()
    while decoder._idle:
        pass
    with pytest.raises(BusyError, match="try again later"):
        decode(decoder)
    thread.join()
    assert len(failures) == 1


def test_a_busy_server_sends_retry_after(client, monkeypatch):
    def busy(*_args, **_options):
        raise BusyError("query image: others are being decoded")

    monkeypatch.setattr(Decoder, "decode", busy)
    response = client.post("/search", files={"image": png()})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "10"
    assert response.headers["content-type"] == "application/problem+json"


def test_the_decoding_time_limit_is_a_setting(serve, monkeypatch):
    limits = []

    def decoded(self, data, wavelengths, *, max_pixels, time_limit_s):
        limits.append(time_limit_s)
        return decode_query_image(data, wavelengths, max_pixels=max_pixels)

    monkeypatch.setattr(Decoder, "decode", decoded)
    with serve(max_decode_s=3) as client:
        assert client.post("/search", files={"image": png()}).status_code == 200
    assert limits == [3]

"""Pictures that somebody sends become vectors: decoded elsewhere, within the server's limits."""

import numpy as np
from numpy.typing import NDArray

from search_api.meaning.schemas import Picture
from search_api.middleware.body_limit import too_large
from search_api.service import Service


def picture_vector(service: Service, picture: Picture) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Return the unit vector of a picture, shape (dim,), and the wavelengths of its bands, µm.

    Raises:
        ImageError: It cannot be decoded within the limits.
        BusyError: Others' pictures take all the time.
        WavelengthError: A wavelength is not in µm.
    """
    settings = service.settings
    if len(picture.data) > settings.max_upload_bytes:
        raise too_large(settings.max_upload_bytes)
    pixels, waves = service.decoder.decode(
        picture.data, picture.wavelengths, max_pixels=settings.max_pixels, time_limit_s=settings.max_decode_s
    )
    vector: NDArray[np.float32] = service.encoder.embed_pixels(pixels[None], waves)[0]
    return vector, waves

"""Metric coordinate reference systems for places."""

from rasterio.crs import CRS

# UTM is not defined beyond this latitude.
_UTM_LAT = 84


def metric_crs(lon: float, lat: float) -> CRS:
    """Return the CRS of a location's UTM zone, or polar stereographic near a pole."""
    if abs(lat) > _UTM_LAT:
        return CRS.from_epsg(3995 if lat > 0 else 3031)
    zone = int((lon + 180) % 360 // 6) + 1
    return CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)

"""Reads product metadata files: Landsat MTL, Sentinel SAFE and SEN3, EnMAP and DESIS METADATA.xml, Airbus DIMAP."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import PurePath
from typing import Any
from xml.etree import ElementTree as ET

from bandsight.errors import SceneError
from bandsight.sensors.raster_info import BandMetadata
from indexer.datetimes import parse_time
from indexer.sidecar_files import list_folder, read_text

_MTL_LINE = re.compile(r'^\s*(\w+)\s*=\s*"?([^"\n]*?)"?\s*$', re.MULTILINE)
_S2_BAND = re.compile(r"_(B(?:0[1-9]|1[0-2]|8A))(?:_\d0m)?$")
_PRODUCT_FOLDER = re.compile(
    r".*\.SAFE|S2[A-D]_MSIL(?:1C|2A)_\d{8}T\d{6}_N\d{4}_R\d{3}_T\w{5}_\d{8}T\d{6}", re.IGNORECASE
)
_MTL_NUMBERS = {
    "CLOUD_COVER": "eo:cloud_cover",
    "SUN_ELEVATION": "view:sun_elevation",
    "SUN_AZIMUTH": "view:sun_azimuth",
}
# Band ids in DIMAP files of Pléiades and SPOT, then Pléiades Neo, mapped to the profiles' band names.
_DIMAP_BANDS = {"B0": "B0_blue", "B1": "B1_green", "B2": "B2_red", "B3": "B3_nir"}
_DIMAP_BANDS |= {name: f"PNEO_{name}" for name in ("R", "G", "B", "NIR", "RE", "DB")}
_TO_UM = {"micrometer": 1.0, "micrometers": 1.0, "um": 1.0, "nanometer": 1e-3, "nanometers": 1e-3, "nm": 1e-3}
_Element = ET.Element


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneMetadata:
    """Metadata of a scene from a STAC item or a product metadata file; empty without either."""

    identity: str = ""
    """Id in a catalogue: `stac:COLLECTION/ITEM`, or `stac:ITEM` without a collection."""
    by: str = ""
    """Name of the item or file, for messages."""
    acquired: datetime | None = None
    """Acquisition time, UTC."""
    start: datetime | None = None
    """Start of the time interval in a catalogue, UTC."""
    end: datetime | None = None
    """End of the interval, UTC."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """STAC properties, e.g. `eo:cloud_cover`, `view:sun_elevation`, `platform`."""
    hints: tuple[str, ...] = ()
    """Product names, matched like file names."""
    bands: Mapping[str, tuple[BandMetadata, ...]] = field(default_factory=dict)
    """Bands of each file, by href."""
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """(scale, offset) from stored to physical values, by href."""

    def as_dict(self) -> dict[str, Any]:
        """Return the metadata as JSON-serializable values."""
        return {
            "by": self.by,
            "identity": self.identity,
            "acquired": None if self.acquired is None else self.acquired.isoformat(),
            "start": None if self.start is None else self.start.isoformat(),
            "end": None if self.end is None else self.end.isoformat(),
            "properties": dict(self.properties),
            "hints": list(self.hints),
            "bands": {href: [asdict(band) for band in bands] for href, bands in self.bands.items()},
            "scales": {href: list(scale) for href, scale in self.scales.items()},
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "SceneMetadata":
        """Return the metadata written by `as_dict`."""
        return cls(
            by=kept["by"],
            identity=kept.get("identity", ""),
            acquired=_time(kept["acquired"]),
            start=_time(kept.get("start")),
            end=_time(kept.get("end")),
            properties=kept["properties"],
            hints=tuple(kept["hints"]),
            bands={href: tuple(BandMetadata(**band) for band in bands) for href, bands in kept["bands"].items()},
            scales={href: (scale, offset) for href, (scale, offset) in kept["scales"].items()},
        )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def read_product_metadata(hrefs: Sequence[str]) -> SceneMetadata:
    """Read the product metadata of a scene; empty if there is none.

    Raises:
        SceneError: A metadata file is damaged.
    """
    paths = {href: PurePath(href) for href in hrefs}
    root = next((parent for parent in paths[hrefs[0]].parents if is_product_folder(parent.name)), None)
    if root is not None and (found := _safe(root, paths)) is not None:
        return found
    folder = paths[hrefs[0]].parent
    if folder.suffix.upper() == ".SEN3":
        return _sentinel3(folder)
    for file in list_folder(folder):
        if _is_dimap_of(file, paths.values()):
            return _dimap(folder / file, paths)
        if _belongs(file, "_MTL", paths.values()):
            return _mtl(folder / file)
        if _belongs(file, "-METADATA.XML", paths.values()):
            read = _desis if file.upper().startswith("DESIS") else _enmap
            return read(folder / file, hrefs)
    return SceneMetadata()


def is_product_folder(name: str) -> bool:
    """Return whether a folder name is that of a Sentinel product, with or (for Sentinel-2) without .SAFE."""
    return bool(_PRODUCT_FOLDER.fullmatch(name))


def _belongs(file: str, ending: str, paths: Iterable[PurePath]) -> bool:
    """Return whether a metadata file belongs to one of the rasters, because a folder may contain several products."""
    stem, found, suffix = file.upper().rpartition(ending.upper())
    if not found or suffix not in {"", ".TXT", ".JSON"}:
        return False
    # Some MTL files are named after a band.
    stem = stem.split("_B")[0]
    return bool(stem) and any(path.name.upper().startswith(stem) for path in paths)


def _mtl(path: PurePath) -> SceneMetadata:
    """Read a Landsat MTL file, as text or as JSON (USGS, Landsat Collection 2 data format control book)."""
    text = read_text(path)
    try:
        # The first occurrence of a name is used; later groups repeat those of the lower processing level.
        pairs = _flat(json.loads(text)) if path.suffix.lower() == ".json" else _MTL_LINE.findall(text)
        values: dict[str, str] = {}
        for key, value in pairs:
            values.setdefault(key, value)
        clock = values.get("SCENE_CENTER_TIME", "00:00:00Z")
        when = parse_time(f"{values['DATE_ACQUIRED']}T{clock[:8]}") if "DATE_ACQUIRED" in values else None
        properties: dict[str, Any] = {}
        if "SPACECRAFT_ID" in values:
            properties["platform"] = values["SPACECRAFT_ID"].lower().replace("_", "-")
        if "SENSOR_ID" in values:
            properties["instruments"] = values["SENSOR_ID"].lower().split("_")
        properties |= _numbers(
            values,
            {"CLOUD_COVER": "eo:cloud_cover", "SUN_ELEVATION": "view:sun_elevation", "SUN_AZIMUTH": "view:sun_azimuth"},
        )
    except (ValueError, AttributeError, TypeError) as error:
        raise SceneError(f"{path}: not a readable MTL file ({error}); get it again or remove it") from error
    # STAC and USGS: a cloud cover below zero means that it was not assessed.
    if properties.get("eo:cloud_cover", 0) < 0:
        del properties["eo:cloud_cover"]
    names = ("LANDSAT_PRODUCT_ID", "LANDSAT_SCENE_ID")
    hints = tuple(values[name] for name in names if name in values)[:1]
    return SceneMetadata(by=path.name, acquired=when, properties=properties, hints=hints)


def _safe(root: PurePath, paths: Mapping[str, PurePath]) -> SceneMetadata | None:
    files = list_folder(root)
    product = next((name for name in files if re.fullmatch(r"MTD_MSIL(1C|2A)\.xml", name)), None)
    if product is not None:
        return _sentinel2(root, product, paths)
    return _sentinel1(root) if "manifest.safe" in files else None


def _sentinel2(root: PurePath, product: str, paths: Mapping[str, PurePath]) -> SceneMetadata:
    """Read MTD_MSIL1C.xml or MTD_MSIL2A.xml (ESA, Sentinel-2 products specification document)."""
    tree = _xml(root / product)
    texts = _texts(tree)
    spectral = {node.get("physicalBand", ""): node for node in _all(tree, "Spectral_Information")}
    quantification = texts.get("QUANTIFICATION_VALUE") or texts.get("BOA_QUANTIFICATION_VALUE")
    offsets = {
        node.get("band_id"): float(node.text or 0)
        for tag in ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET")
        for node in _all(tree, tag)
    }
    bands, scales = {}, {}
    for href, path in paths.items():
        match = _S2_BAND.search(path.stem)
        if match is None:
            continue
        node = spectral.get(match[1].replace("B0", "B"))
        bands[href] = (BandMetadata(name=match[1], wavelength_um=None if node is None else _centre_um(node)),)
        if quantification:
            scale = 1 / float(quantification)
            scales[href] = (scale, offsets.get(node.get("bandId") if node is not None else None, 0.0) * scale)
    properties: dict[str, Any] = {"constellation": "sentinel-2", "instruments": ["msi"]}
    if "SPACECRAFT_NAME" in texts:
        properties["platform"] = texts["SPACECRAFT_NAME"].lower()
    if "PROCESSING_BASELINE" in texts:
        properties["s2:processing_baseline"] = texts["PROCESSING_BASELINE"]
    properties |= _numbers(texts, {"Cloud_Coverage_Assessment": "eo:cloud_cover"}) | _sentinel2_sun(paths)
    when = parse_time(texts.get("PRODUCT_START_TIME", ""))
    name = texts.get("PRODUCT_URI", root.name)
    return SceneMetadata(by=product, acquired=when, properties=properties, hints=(name,), bands=bands, scales=scales)


def _centre_um(band: _Element) -> float | None:
    """Return a band's centre wavelength, µm, or None unless it is stated in nm as specified."""
    centre = next(iter(_all(band, "CENTRAL")), None)
    return float(centre.text or 0) / 1000 if centre is not None and centre.get("unit") == "nm" else None


def _sentinel2_sun(paths: Mapping[str, PurePath]) -> dict[str, Any]:
    """Return the sun angles from the granule's MTD_TL.xml."""
    for parent in next(iter(paths.values())).parents:
        if "MTD_TL.xml" in list_folder(parent):
            sun = next(iter(_all(_xml(parent / "MTD_TL.xml"), "Mean_Sun_Angle")), None)
            texts = {} if sun is None else _texts(sun)
            found = _numbers(texts, {"ZENITH_ANGLE": "zenith", "AZIMUTH_ANGLE": "view:sun_azimuth"})
            zenith = found.pop("zenith", None)
            return found if zenith is None else found | {"view:sun_elevation": 90 - zenith}
        if is_product_folder(parent.name):
            break
    return {}


def _sentinel1(root: PurePath) -> SceneMetadata:
    """Read manifest.safe. It gives no hints, because file names determine the calibration."""
    texts = _texts(_xml(root / "manifest.safe"))
    properties: dict[str, Any] = {"constellation": "sentinel-1", "instruments": ["c-sar"]}
    if {"familyName", "number"} <= set(texts):
        properties["platform"] = f"{texts['familyName']}{texts['number']}".lower()
    for name, key in (("mode", "sar:instrument_mode"), ("pass", "sat:orbit_state")):
        if name in texts:
            properties[key] = texts[name].lower() if name == "pass" else texts[name]
    return SceneMetadata(by="manifest.safe", acquired=parse_time(texts.get("startTime", "")), properties=properties)


def _sentinel3(root: PurePath) -> SceneMetadata:
    """Read xfdumanifest.xml, if there is one; the folder is named after the product."""
    if "xfdumanifest.xml" not in list_folder(root):
        return SceneMetadata(by=root.name, hints=(root.name,))
    texts = _texts(_xml(root / "xfdumanifest.xml"))
    properties: dict[str, Any] = {"constellation": "sentinel-3"}
    if {"familyName", "number"} <= set(texts):
        properties["platform"] = f"{texts['familyName']}{texts['number']}".lower()
    when = parse_time(texts.get("startTime", ""))
    return SceneMetadata(by="xfdumanifest.xml", acquired=when, properties=properties, hints=(root.name,))


def _enmap(path: PurePath, hrefs: Sequence[str]) -> SceneMetadata:
    """Read an EnMAP METADATA.XML (DLR, EnMAP product specification: wavelengths and widths are in nm)."""
    tree = _xml(path)
    bands = tuple(
        BandMetadata(
            wavelength_um=float(centre.text or 0) / 1000,
            fwhm_um=float(width.text or 0) / 1000,
        )
        for node in _all(tree, "bandID")
        for centre in _all(node, "wavelengthCenterOfBand")
        for width in _all(node, "FWHMOfBand")
    )
    texts = _texts(tree)
    pictures = {href: bands for href in hrefs if "SPECTRAL_IMAGE" in PurePath(href).name.upper()}
    properties = {"platform": "enmap", **_numbers(texts, {"cloudCover": "eo:cloud_cover"})}
    return SceneMetadata(
        by=path.name, acquired=parse_time(texts.get("startTime", "")), properties=properties, bands=pictures
    )


def _desis(path: PurePath, hrefs: Sequence[str]) -> SceneMetadata:
    """Read a DESIS METADATA.xml (DLR, DESIS product guide: wavelengths and widths are in nm)."""
    tree = _xml(path)
    bands = []
    for node in _all(tree, "band"):
        texts = _texts(node)
        if "wavelengthCenterOfBand" in texts:
            width = texts.get("wavelengthWidthOfBand")
            centre = float(texts["wavelengthCenterOfBand"]) / 1000
            bands.append(BandMetadata(wavelength_um=centre, fwhm_um=float(width) / 1000 if width else None))
    texts = _texts(tree)
    pictures = {href: tuple(bands) for href in hrefs if "SPECTRAL_IMAGE" in PurePath(href).name.upper()}
    properties = {"platform": "iss", "instruments": ["desis"]} | _numbers(
        texts, {"cloudCoverPercentage": "eo:cloud_cover"}
    )
    return SceneMetadata(
        by=path.name, acquired=parse_time(texts.get("startTime", "")), properties=properties, bands=pictures
    )


def _is_dimap_of(file: str, paths: Iterable[PurePath]) -> bool:
    """Return whether a file is the DIMAP file of one of the rasters: DIM_X.XML describes IMG_X_R1C1.TIF."""
    name = file.upper()
    if not (name.startswith("DIM_") and name.endswith(".XML")):
        return False
    # A product of several images names the image in between: IMG_X_RGB_R1C1.TIF.
    return any(path.name.upper().startswith(f"IMG_{name[4:-4]}_") for path in paths)


def _dimap(path: PurePath, paths: Mapping[str, PurePath]) -> SceneMetadata:
    """Read a DIM_*.XML of Pléiades, Pléiades Neo or SPOT 6 and 7 (Airbus, user guides: DIMAP version 2).

    The order of the bands of each file is in `Raster_Index_List`, which older products lack.
    """
    tree = _xml(path)
    ranges = {
        texts["BAND_ID"]: texts for node in _all(tree, "Band_Spectral_Range") if "BAND_ID" in (texts := _texts(node))
    }
    common = _dimap_order(tree)
    bands = {}
    for href, file in paths.items():
        groups = (group for group in _all(tree, "Data_Files") if _names_file(group, file.name))
        order = next(filter(None, map(_dimap_order, groups)), common)
        if order:
            bands[href] = tuple(_dimap_band(name, ranges.get(name, {})) for name in order)
    texts = _texts(tree)
    names = {
        "CLOUD_COVERAGE": "eo:cloud_cover",
        "SUN_ELEVATION": "view:sun_elevation",
        "SUN_AZIMUTH": "view:sun_azimuth",
    }
    day, clock = texts.get("IMAGING_DATE"), texts.get("IMAGING_TIME", "00:00:00")
    when = parse_time(f"{day}T{clock[:8]}") if day else None
    return SceneMetadata(by=path.name, acquired=when, properties=_numbers(texts, names), bands=bands)


def _names_file(group: _Element, name: str) -> bool:
    return any(PurePath(node.get("href", "")).name.upper() == name.upper() for node in _all(group, "DATA_FILE_PATH"))


def _dimap_order(tree: _Element) -> list[str]:
    """Return a file's band ids in file order, or an empty list if the metadata lack the order."""
    listed = [_texts(node) for node in _all(tree, "Raster_Index")]
    try:
        order = sorted((int(texts["BAND_INDEX"]), texts["BAND_ID"]) for texts in listed)
    except (KeyError, ValueError):
        return []
    return [name for _, name in order] if [number for number, _ in order] == [*range(1, len(order) + 1)] else []


def _dimap_band(name: str, texts: Mapping[str, str]) -> BandMetadata:
    known = _DIMAP_BANDS.get(name, name)
    factor = _TO_UM.get(texts.get("MEASURE_UNIT", "").lower())
    found = _numbers(texts, {"MIN": "low", "MAX": "high"})
    if factor is None or len(found) < 2:  # noqa: PLR2004  (both ends)
        return BandMetadata(name=known)
    low, high = found["low"] * factor, found["high"] * factor
    return BandMetadata(name=known, wavelength_um=(low + high) / 2, fwhm_um=high - low)


def _xml(path: PurePath) -> _Element:
    try:
        return ET.fromstring(read_text(path))  # noqa: S314  (expat rejects entity bombs since 2.4; size is limited)
    except ET.ParseError as error:
        raise SceneError(f"{path}: not readable XML ({error}); download the product again") from error


def _all(tree: _Element, tag: str) -> Iterable[_Element]:
    """Yield elements by local name, in any namespace."""
    return (node for node in tree.iter() if node.tag.rpartition("}")[2] == tag)


def _texts(tree: _Element) -> dict[str, str]:
    """Return the first text for each local name."""
    found: dict[str, str] = {}
    for node in tree.iter():
        if node.text and node.text.strip():
            found.setdefault(node.tag.rpartition("}")[2], node.text.strip())
    return found


def _numbers(texts: Mapping[str, str], names: Mapping[str, str]) -> dict[str, float]:
    """Return numbers by STAC name; other values are omitted."""
    found = {}
    for name, key in names.items():
        try:
            found[key] = float(texts[name])
        except (KeyError, ValueError):
            continue
    return found


def _flat(value: Any) -> Iterable[tuple[str, str]]:
    for key, part in value.items():
        if isinstance(part, dict):
            yield from _flat(part)
        else:
            yield key, str(part)

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from bandsight.errors import SceneError, SensorError
from indexer.scene import open_scene
from indexer.sources import find_scenes
from tests.rasters import picture, write

MTL = """GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    LANDSAT_PRODUCT_ID = "LC09_L1TP_016040_20220101_20220122_02_T1"
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_9"
    SENSOR_ID = "OLI_TIRS"
    DATE_ACQUIRED = 2022-01-01
    SCENE_CENTER_TIME = "16:04:12.1234560Z"
    CLOUD_COVER = 12.30
    SUN_AZIMUTH = 155.5
    SUN_ELEVATION = 31.25
  END_GROUP = IMAGE_ATTRIBUTES
END_GROUP = LANDSAT_METADATA_FILE
END
"""
MTL_JSON = {
    "LANDSAT_METADATA_FILE": {
        "PRODUCT_CONTENTS": {"LANDSAT_PRODUCT_ID": "LC09_L1TP_016040_20220101_20220122_02_T1"},
        "IMAGE_ATTRIBUTES": {
            "SPACECRAFT_ID": "LANDSAT_9",
            "SENSOR_ID": "OLI_TIRS",
            "DATE_ACQUIRED": "2022-01-01",
            "SCENE_CENTER_TIME": "16:04:12.1234560Z",
            "CLOUD_COVER": "12.30",
            "SUN_AZIMUTH": "155.5",
            "SUN_ELEVATION": "31.25",
        },
    }
}
MTD = """<?xml version="1.0"?>
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
 <n1:General_Info>
  <Product_Info>
   <PRODUCT_START_TIME>2022-02-16T10:21:01.024Z</PRODUCT_START_TIME>
   <PRODUCT_URI>S2B_MSIL2A_20220216T102101_N0400_R065_T33UUU_20220216T130911.SAFE</PRODUCT_URI>
   <PROCESSING_BASELINE>04.00</PROCESSING_BASELINE>
   <SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME>
  </Product_Info>
  <BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
  <BOA_ADD_OFFSET_VALUES_LIST>
   <BOA_ADD_OFFSET band_id="1">-1000</BOA_ADD_OFFSET><BOA_ADD_OFFSET band_id="2">-1000</BOA_ADD_OFFSET>
   <BOA_ADD_OFFSET band_id="3">-900</BOA_ADD_OFFSET>
  </BOA_ADD_OFFSET_VALUES_LIST>
  <Spectral_Information_List>
   <Spectral_Information bandId="1" physicalBand="B2"><Wavelength><CENTRAL unit="UNIT">492.1</CENTRAL></Wavelength>
   </Spectral_Information>
   <Spectral_Information bandId="2" physicalBand="B3"><Wavelength><CENTRAL unit="UNIT">559</CENTRAL></Wavelength>
   </Spectral_Information>
   <Spectral_Information bandId="3" physicalBand="B4"><Wavelength><CENTRAL unit="UNIT">665</CENTRAL></Wavelength>
   </Spectral_Information>
  </Spectral_Information_List>
 </n1:General_Info>
 <Quality_Indicators_Info><Cloud_Coverage_Assessment>5.5</Cloud_Coverage_Assessment></Quality_Indicators_Info>
</n1:Level-2A_User_Product>"""
TILE = """<Level><Mean_Sun_Angle><ZENITH_ANGLE unit="deg">66</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">160</AZIMUTH_ANGLE>
</Mean_Sun_Angle></Level>"""
ENMAP = """<level_X><temporalCoverage><startTime>2022-06-12T10:57:35Z</startTime></temporalCoverage>
<bandCharacterisation>
<bandID number="1"><wavelengthCenterOfBand>418.4</wavelengthCenterOfBand><FWHMOfBand>6.9</FWHMOfBand></bandID>
<bandID number="2"><wavelengthCenterOfBand>1400</wavelengthCenterOfBand><FWHMOfBand>9</FWHMOfBand></bandID>
<bandID number="3"><wavelengthCenterOfBand>2445.5</wavelengthCenterOfBand><FWHMOfBand>7</FWHMOfBand></bandID>
</bandCharacterisation></level_X>"""


def dimap(groups: dict[str, list[str]], unit: str = "micrometer") -> str:
    """Return a DIMAP file: the bands of each file in its order."""
    ends = {"B0": (0.45, 0.53), "B1": (0.51, 0.59), "B2": (0.62, 0.70), "B3": (0.775, 0.915)}
    ends |= {"R": (0.62, 0.69), "G": (0.53, 0.59), "B": (0.45, 0.52)}
    ends |= {"NIR": (0.77, 0.88), "RE": (0.70, 0.75), "DB": (0.40, 0.45)}
    factor = 1000 if unit == "nanometer" else 1
    files = "".join(
        f'<Data_Files><Data_File tile_R="1" tile_C="1"><DATA_FILE_PATH href="{file}"/></Data_File><Raster_Display>'
        "<Raster_Index_List>"
        + "".join(
            f"<Raster_Index><BAND_ID>{band}</BAND_ID><BAND_INDEX>{index}</BAND_INDEX></Raster_Index>"
            for index, band in enumerate(bands, 1)
        )
        + "</Raster_Index_List></Raster_Display></Data_Files>"
        for file, bands in groups.items()
    )
    ranges = "".join(
        f"<Band_Spectral_Range><BAND_ID>{band}</BAND_ID><MEASURE_UNIT>{unit}</MEASURE_UNIT>"
        f"<MIN>{ends[band][0] * factor}</MIN><MAX>{ends[band][1] * factor}</MAX></Band_Spectral_Range>"
        for bands in groups.values()
        for band in bands
    )
    return (
        f"<Dimap_Document><CLOUD_COVERAGE>7.5</CLOUD_COVERAGE>{ranges}<Data_Access>{files}</Data_Access>"
        "<Located_Geometric_Values><SUN_AZIMUTH>150.5</SUN_AZIMUTH><SUN_ELEVATION>40.25</SUN_ELEVATION>"
        "</Located_Geometric_Values><Strip_Source><IMAGING_DATE>2021-05-21</IMAGING_DATE>"
        "<IMAGING_TIME>09:12:34.5</IMAGING_TIME></Strip_Source></Dimap_Document>"
    )


def opened(path: Path):
    (source,) = find_scenes([path])
    return open_scene(source, "key", tiling={})


def landsat(folder: Path, stem: str = "scene") -> Path:
    for band in ("B2", "B3", "B4"):
        write(folder / f"{stem}_{band}.TIF", picture(1, 64, 64, dtype="uint16") * 100)
    return folder


def safe(folder: Path, unit: str = "nm") -> Path:
    """Write a Sentinel-2 product: three bands of 10 m, one of them at 20 m too, and a classification."""
    root = folder / "S2B_MSIL2A_20220216T102101_N0400_R065_T33UUU_20220216T130911.SAFE"
    image = root / "GRANULE" / "L2A_T33UUU_A025840_20220216T102101" / "IMG_DATA"
    for band in ("B02", "B03", "B04"):
        write(image / "R10m" / f"T33UUU_20220216T102101_{band}_10m.tif", picture(1, 64, 64, dtype="uint16") * 20)
    write(image / "R20m" / "T33UUU_20220216T102101_B02_20m.tif", picture(1, 32, 32, dtype="uint16") * 20, gsd=20)
    write(image / "R20m" / "T33UUU_20220216T102101_SCL_20m.tif", np.full((1, 32, 32), 4, np.uint8), gsd=20)
    (root / "MTD_MSIL2A.xml").write_text(MTD.replace("UNIT", unit))
    (image.parent / "MTD_TL.xml").write_text(TILE)
    return root


@pytest.mark.parametrize("name", ["scene_MTL.txt", "scene_MTL.json"])
def test_an_mtl_file_names_the_sensor_of_files_whose_names_do_not(tmp_path, name):
    landsat(tmp_path)
    (tmp_path / name).write_text(MTL if name.endswith("txt") else json.dumps(MTL_JSON))
    record = opened(tmp_path).record
    assert record.sensor == "landsat89"
    assert record.datetime is not None
    assert record.datetime.isoformat() == "2022-01-01T16:04:12+00:00"
    assert record.properties == {
        "platform": "landsat-9",
        "instruments": ["oli", "tirs"],
        "eo:cloud_cover": 12.3,
        "view:sun_azimuth": 155.5,
        "view:sun_elevation": 31.25,
        "bandsight:bands_from": f"product named by {name}",
    }


def test_an_mtl_file_of_another_product_in_the_folder_is_not_used(tmp_path):
    landsat(tmp_path)
    (tmp_path / "other_MTL.txt").write_text(MTL)
    with pytest.raises(SensorError, match="nothing says which bands"):
        opened(tmp_path)


def test_a_damaged_mtl_file_fails_its_scene_by_name(tmp_path):
    landsat(tmp_path)
    (tmp_path / "scene_MTL.json").write_text("{")
    with pytest.raises(SceneError, match=r"scene_MTL\.json: not a readable MTL file"):
        opened(tmp_path)


def test_a_safe_folder_is_one_scene_of_the_finest_files_with_its_own_wavelengths_and_offsets(tmp_path):
    safe(tmp_path)
    scene = opened(tmp_path)
    record = scene.record
    assert (record.sensor, record.properties["bandsight:bands_from"]) == ("sentinel2_l2a", "MTD_MSIL2A.xml")
    assert [band.wavelength_um for band in record.bands] == pytest.approx([0.4921, 0.559, 0.665])
    assert [Path(band.href).name[-11:] for band in record.bands] == ["B02_10m.tif", "B03_10m.tif", "B04_10m.tif"]
    assert scene.raster.scaling.low == pytest.approx((1000, 1000, 900))
    assert scene.raster.scaling.high == pytest.approx((4000, 4000, 3900))
    assert scene.raster.quality is not None
    assert "SCL" in scene.raster.quality.href
    assert record.name == "S2B_MSIL2A_20220216T102101_N0400_R065_T33UUU_20220216T130911"
    assert record.properties["eo:cloud_cover"] == 5.5
    assert record.properties["view:sun_elevation"] == 24
    assert record.properties["platform"] == "sentinel-2b"
    assert str(record.datetime) == "2022-02-16 10:21:01.024000+00:00"


def test_wavelengths_that_are_not_said_in_nanometres_are_not_converted(tmp_path):
    safe(tmp_path, unit="m")
    record = opened(tmp_path).record
    assert record.properties["bandsight:bands_from"] == "product named by MTD_MSIL2A.xml"
    assert [band.wavelength_um for band in record.bands] == [0.49, 0.56, 0.665]


def test_broken_xml_fails_its_scene_by_name(tmp_path):
    (safe(tmp_path) / "MTD_MSIL2A.xml").write_text("<a>")
    with pytest.raises(SceneError, match=r"MTD_MSIL2A\.xml: not readable XML"):
        opened(tmp_path)


def test_xml_entities_that_grow_without_end_are_refused(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY x0 "ha">' + "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 50}">' for n in range(1, 12))
    (safe(tmp_path) / "MTD_MSIL2A.xml").write_text(bomb + "]><a>&x11;</a>")
    with pytest.raises(SceneError, match="not readable XML"):
        opened(tmp_path)


def test_enmap_has_its_wavelengths_in_metadata_xml(tmp_path):
    stem = "ENMAP01-____L2A-DT0000001049_20220612T105735Z_001_V010303_20230101T000000Z"
    write(tmp_path / f"{stem}-SPECTRAL_IMAGE.TIF", picture(3, 64, 64, dtype="int16"))
    (tmp_path / f"{stem}-METADATA.XML").write_text(ENMAP)
    record = opened(tmp_path / f"{stem}-SPECTRAL_IMAGE.TIF").record
    assert (record.sensor, record.properties["bandsight:bands_from"]) == ("enmap", f"{stem}-METADATA.XML")
    assert [band.wavelength_um for band in record.bands] == pytest.approx([0.4184, 2.4455])
    assert str(record.datetime) == "2022-06-12 10:57:35+00:00"


@pytest.mark.parametrize(
    ("units", "waves", "expected"),
    [
        ("Nanometers", "{450.5, 550, 2200}", [0.4505, 0.55, 2.2]),
        ("Micrometers", "{0.4505, 0.55, 2.2}", [0.4505, 0.55, 2.2]),
        ("Unknown", "{450.5, 550, 2200}", None),
        (None, "{450.5, 550, 2200}", None),
    ],
)
def test_an_envi_header_is_believed_when_it_says_its_unit(tmp_path, units, waves, expected):
    values = picture(3, 32, 32, dtype="int16")
    path = tmp_path / "cube.img"
    profile = {"driver": "ENVI", "width": 32, "height": 32, "count": 3, "dtype": "int16", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", **profile, transform=rasterio.transform.from_origin(4e5, 5.8e6, 10, 10)) as dataset:
        dataset.write(values)
    header = path.with_suffix(".hdr")
    unit = f"wavelength units = {units}\n" if units else ""
    kept = "\n".join(line for line in header.read_text().splitlines() if not line.startswith("band names"))
    header.write_text(kept.split("band names")[0] + f"\n{unit}wavelength = {waves}\n")
    path.with_name("cube.img.aux.xml").unlink(missing_ok=True)
    if expected is None:
        with pytest.raises(SensorError, match="wavelengths"):
            opened(path)
    else:
        record = opened(path).record
        assert record.properties["bandsight:bands_from"] == "band metadata"
        assert [band.wavelength_um for band in record.bands] == pytest.approx(expected)


@pytest.mark.parametrize("unit", ["micrometer", "nanometer"])
@pytest.mark.parametrize("order", [["B2", "B1", "B0", "B3"], ["B0", "B1", "B2", "B3"]])
def test_a_dimap_file_says_in_which_order_pleiades_has_its_bands(tmp_path, order, unit):
    product = "PHR1A_PMS_202105210912345_ORT_1234"
    write(tmp_path / f"IMG_{product}_R1C1.TIF", picture(4, 64, 64, dtype="uint16") * 20)
    (tmp_path / f"DIM_{product}.XML").write_text(dimap({f"IMG_{product}_R1C1.TIF": order}, unit))
    scene = opened(tmp_path)
    record = scene.record
    assert record.sensor == "pleiades"
    assert [band.index for band in record.bands] == [order.index(name) + 1 for name in ("B2", "B1", "B0", "B3")]
    assert [band.wavelength_um for band in record.bands] == pytest.approx([0.66, 0.55, 0.49, 0.845])
    assert record.datetime.isoformat() == "2021-05-21T09:12:34+00:00"
    assert record.properties["eo:cloud_cover"] == 7.5
    assert record.properties["view:sun_elevation"] == 40.25


def test_a_dimap_file_names_the_bands_of_each_file_of_pleiades_neo(tmp_path):
    product = "PNEO3_202105210912345_MS-FS_ORT_PWOI_000012345_1_2_F_1"
    files = {f"IMG_{product}_RGB_R1C1.TIF": ["B", "G", "R"], f"IMG_{product}_NED_R1C1.TIF": ["DB", "RE", "NIR"]}
    for name in files:
        write(tmp_path / name, picture(3, 64, 64, dtype="uint16") * 20)
    (tmp_path / f"DIM_{product}.XML").write_text(dimap(files))
    record = opened(tmp_path).record
    assert record.sensor == "pleiades_neo"
    assert [band.wavelength_um for band in record.bands] == pytest.approx([0.425, 0.485, 0.56, 0.655, 0.725, 0.825])
    assert [band.index for band in record.bands] == [1, 1, 2, 3, 2, 3]


def test_a_dimap_file_without_an_order_of_bands_leaves_it_to_the_profile(tmp_path):
    product = "PHR1A_PMS_202105210912345_ORT_1234"
    write(tmp_path / f"IMG_{product}_R1C1.TIF", picture(4, 64, 64, dtype="uint16") * 20)
    (tmp_path / f"DIM_{product}.XML").write_text(dimap({}))
    record = opened(tmp_path).record
    assert (record.sensor, [band.index for band in record.bands]) == ("pleiades", [1, 2, 3, 4])
    assert record.properties["view:sun_azimuth"] == 150.5

"""Small HDF4 and HDF5 files with the structure of NASA's land products, written on the spot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Size of a tile of the sinusoidal grid, metres (LP DAAC).
TILE_M = 1_111_950.5196666666
_RADIUS_M = 6_371_007.181


def corner(h: int, v: int) -> tuple[float, float]:
    """Return the upper left corner of a sinusoidal tile, m."""
    return (h - 18) * TILE_M, (9 - v) * TILE_M


def structure(grids: Mapping[str, tuple[int, Sequence[str]]], h: int = 18, v: int = 3) -> str:
    """Return the structural metadata of an HDF-EOS file.

    Args:
        grids: Rows (= columns) and fields of each grid, by its name.
        h: Column of the tile.
        v: Row of the tile.
    """
    west, north = corner(h, v)
    text = "GROUP=SwathStructure\nEND_GROUP=SwathStructure\nGROUP=GridStructure\n"
    for number, (name, (side, fields)) in enumerate(grids.items(), 1):
        text += f'\tGROUP=GRID_{number}\n\t\tGridName="{name}"\n\t\tXDim={side}\n\t\tYDim={side}\n'
        text += f"\t\tUpperLeftPointMtrs=({west:.6f},{north:.6f})\n"
        text += f"\t\tLowerRightMtrs=({west + TILE_M:.6f},{north - TILE_M:.6f})\n"
        text += (
            f"\t\tProjection=GCTP_SNSOID\n\t\tProjParams=({_RADIUS_M:.6f},0,0,0,0,0,0,0,0,0,0,0,0)\n\t\tSphereCode=-1\n"
        )
        text += "\t\tGridOrigin=HDFE_GD_UL\n\t\tGROUP=Dimension\n\t\tEND_GROUP=Dimension\n\t\tGROUP=DataField\n"
        for at, field in enumerate(fields, 1):
            text += f'\t\t\tOBJECT=DataField_{at}\n\t\t\t\tDataFieldName="{field}"\n\t\t\t\tDataType=DFNT_INT16\n'
            text += f'\t\t\t\tDimList=("YDim","XDim")\n\t\t\tEND_OBJECT=DataField_{at}\n'
        text += f"\t\tEND_GROUP=DataField\n\tEND_GROUP=GRID_{number}\n"
    return f"{text}END_GROUP=GridStructure\nEND\n"


def hdf4(
    path: Path,
    grids: Mapping[str, Mapping[str, NDArray[Any]]],
    *,
    h: int = 18,
    v: int = 3,
    attributes: Mapping[str, Any] | None = None,
    metadata: str | None = None,
) -> Path:
    """Write an HDF-EOS2 file with the rasters of each grid, by name; all have the same attributes."""
    from pyhdf.SD import SD, SDC

    kinds = {"int16": SDC.INT16, "uint16": SDC.UINT16, "uint8": SDC.UINT8, "uint32": SDC.UINT32}
    path.parent.mkdir(parents=True, exist_ok=True)
    file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    for fields in grids.values():
        for name, values in fields.items():
            one = file.create(name, kinds[values.dtype.name], values.shape)
            one.setcompress(SDC.COMP_DEFLATE, 5)
            one[:] = values
            for key, value in (attributes or {}).items():
                if key == "_FillValue" and _fits(value, values.dtype):
                    one.setfillvalue(value)
                elif key != "_FillValue":
                    one.attr(key).set(SDC.FLOAT64, value)
            one.endaccess()
    sizes = {name: (len(next(iter(fields.values()))), list(fields)) for name, fields in grids.items()}
    file.attr("StructMetadata.0").set(SDC.CHAR, metadata or structure(sizes, h, v))
    file.end()
    return path


def hdf5_grids(
    path: Path, grids: Mapping[str, Mapping[str, NDArray[Any]]], *, attributes: Mapping[str, Any] | None = None
) -> Path:
    """Write an HDF-EOS5 file with the rasters of each grid, by name; all have the same attributes."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = {name: (len(next(iter(fields.values()))), list(fields)) for name, fields in grids.items()}
    with h5py.File(path, "w") as file:
        information = file.create_group("HDFEOS INFORMATION")
        information.attrs["HDFEOSVersion"] = np.bytes_("HDFEOS_5.1.15")
        text = structure(sizes).replace("DFNT_INT16", "H5T_NATIVE_SHORT")
        for word in ("GCTP_SNSOID", "HDFE_GD_UL"):
            text = text.replace(f"={word}", f"=HE5_{word}")
        information["StructMetadata.0"] = np.bytes_(text)
        for grid, fields in grids.items():
            group = file.create_group(f"HDFEOS/GRIDS/{grid}/Data Fields")
            for name, values in fields.items():
                one = group.create_dataset(name, data=values, compression="gzip", chunks=True)
                for key, value in (attributes or {}).items():
                    if key == "_FillValue" and not _fits(value, values.dtype):
                        continue
                    one.attrs[key] = np.array([value], values.dtype if key == "_FillValue" else "float64")
    return path


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    return bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)


def netcdf4(
    path: Path, variables: Mapping[str, NDArray[Any]], *, attributes: Mapping[str, Mapping[str, Any]] | None = None
) -> Path:
    """Write a NetCDF 4 file with two-dimensional variables (rows, columns) and their attributes, by name."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", track_order=True) as file:
        rows, cols = next(iter(variables.values())).shape
        for number, (name, size) in enumerate((("rows", rows), ("columns", cols))):
            axis = file.create_dataset(name, data=np.zeros(size, "float32"))
            axis.make_scale(f"This is a netCDF dimension but not a netCDF variable. {size:10d}")
            axis.attrs["_Netcdf4Dimid"] = np.int32(number)
        for name, values in variables.items():
            own = (attributes or {}).get(name, {})
            one = file.create_dataset(
                name, data=values, compression="gzip", chunks=True, fillvalue=own.get("_FillValue"), track_order=True
            )
            for axis, dimension in enumerate(("rows", "columns")):
                one.dims[axis].attach_scale(file[dimension])
            for key, value in own.items():
                one.attrs[key] = np.array([value], values.dtype if key == "_FillValue" else "float64")
    return path

"""Request bodies about labels, shared by the API, the client and the command line."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from bandsight.learning.proposals import MAX_PROPOSALS
from bandsight.search.classifiers import ClassifierTerm
from bandsight.search.examples import TileId

MAX_LABELS_A_REQUEST = 10_000
Class = Annotated[str, Field(min_length=1, max_length=64)]
Annotator = Annotated[str, Field(min_length=1, max_length=100, description="Name of the annotator")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewCollection(_Strict):
    """A label collection."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ponds", "classes": {"pond": "a pond"}}]})

    name: str = Field(min_length=1, max_length=64, description="Letters, digits, '.', '_' and '-'")
    classes: dict[str, str] = Field(description="The sentence that describes each class; empty for none")


class NewLabels(_Strict):
    """Labels of tiles."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"class": "pond", "tiles": [12, 17], "annotator": "ada"}]}
    )

    cls: Class = Field(alias="class", description="A class of the collection, none or skip")
    tiles: list[TileId] = Field(min_length=1, max_length=MAX_LABELS_A_REQUEST)
    annotator: Annotator = "anonymous"


class ImportLabels(_Strict):
    """Labels as GeoJSON."""

    features: dict[str, Any] = Field(description="FeatureCollection of points or polygons, or an export of labels")
    class_property: str = Field(
        default="class", min_length=1, max_length=100, description="Property that holds the class"
    )
    cls: Class | None = Field(default=None, alias="class", description="Class of features without this property")
    annotator: Annotator = "import"


class LayerQuery(_Strict):
    """Parameters of a layer: classifier and threshold."""

    cls: Class | None = Field(default=None, alias="class", description="The class; required if there are several")
    version: int | None = Field(
        default=None, ge=1, le=10**9, description="Version of the classifier; default: the newest"
    )
    threshold: float = Field(default=0.5, ge=0, le=1, description="Minimum probability")

    def term(self, name: str) -> ClassifierTerm:
        """Return these parameters as a classifier term for a collection."""
        return ClassifierTerm(name=name, cls=self.cls, version=self.version)


class AreaReport(_Strict):
    """A labelled sample."""

    sample: dict[str, Any] = Field(description="A sample, as drawn by this API")
    threshold: float = Field(default=0.5, ge=0, le=1, description="Minimum probability for the map to show the class")


class ProposalQuery(_Strict):
    """Parameters of proposals."""

    limit: int = Field(default=20, ge=1, le=MAX_PROPOSALS, description="Maximum number of tiles")

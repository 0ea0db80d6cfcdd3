"""The fields extension: which members of an item are returned."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bandsight.errors import QueryError

# Members that identify an item; always included.
_ALWAYS = frozenset({"type", "stac_version", "id", "collection"})
# The fields extension's default set.
_DEFAULT = _ALWAYS | {"stac_extensions", "geometry", "bbox", "links", "assets", "properties.datetime"}
_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Paths within an item, e.g. `properties.eo:cloud_cover`; empty means all fields."""

    include: frozenset[str] = frozenset()
    """Fields to include, in addition to those that identify the item."""
    exclude: frozenset[str] = frozenset()
    """Fields to exclude."""
    of_default: bool = False
    """Whether fields are excluded from the default set instead of all fields."""

    @classmethod
    def parse(cls, text: str) -> "Fields":
        """Parse a URL parameter: names separated by commas, `-` before excluded ones.

        Raises:
            QueryError: There are too many names.
        """
        names = [name.strip() for name in text.split(",") if name.strip()]
        return cls.of(
            [name.lstrip("+ ") for name in names if not name.startswith("-")],
            [name[1:] for name in names if name.startswith("-")],
        )

    @classmethod
    def of(cls, include: Iterable[str], exclude: Iterable[str], *, of_default: bool = False) -> "Fields":
        """Create fields from names.

        Args:
            include: See `include`.
            exclude: See `exclude`.
            of_default: See `of_default`.

        Raises:
            QueryError: There are too many names.
        """
        fields = cls(include=frozenset(include), exclude=frozenset(exclude), of_default=of_default)
        if len(fields.include) + len(fields.exclude) > _MAX:
            raise QueryError(f"fields: found more than {_MAX} names; request fewer")
        return fields

    def apply(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return an item with the requested fields; those both included and excluded are included."""
        if not self.include and not self.exclude:
            return item
        wanted = _ALWAYS - self.exclude | self.include if self.include else _DEFAULT
        shown = item
        if self.include or self.of_default:
            shown = {}
            for path in sorted(wanted):
                _copy(item, shown, path.split("."))
        for path in self.exclude - self.include:
            # Keep it whole unless only a part of it is requested.
            if not any(one.startswith(f"{path}.") for one in self.include):
                shown = _without(shown, path.split("."))
        return shown


def _copy(source: Mapping[str, Any], target: dict[str, Any], steps: list[str]) -> None:
    first, *rest = steps
    if first not in source:
        return
    if rest and isinstance(source[first], dict):
        inner = target.setdefault(first, {})
        if isinstance(inner, dict):
            if inner is source[first]:
                return
            _copy(source[first], inner, rest)
    elif not rest:
        target[first] = source[first]


def _without(item: dict[str, Any], steps: list[str]) -> dict[str, Any]:
    first, *rest = steps
    if first not in item:
        return item
    if not rest:
        return {name: value for name, value in item.items() if name != first}
    inner = item[first]
    return item | {first: _without(inner, rest)} if isinstance(inner, dict) else item

"""The fields extension: which parts of an item are shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bandsight.errors import QueryError

# What tells which item it is, and that it is one; stays beside what is included.
_ALWAYS = frozenset({"type", "stac_version", "id", "collection"})
# What makes a whole item: the default set of the fields extension.
_DEFAULT = _ALWAYS | {"stac_extensions", "geometry", "bbox", "links", "assets", "properties.datetime"}
_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Paths into an item, like `properties.eo:cloud_cover`; empty shows all."""

    include: frozenset[str] = frozenset()
    """Only these are shown, beside what tells which item it is."""
    exclude: frozenset[str] = frozenset()
    """Left out."""
    of_default: bool = False
    """What is left out is left out of a whole item's least, not of all that there is."""

    @classmethod
    def parse(cls, text: str) -> "Fields":
        """Read the form of a URL: names separated by commas, `-` before what is left out.

        Raises:
            QueryError: There are too many.
        """
        names = [name.strip() for name in text.split(",") if name.strip()]
        return cls.of(
            [name.lstrip("+ ") for name in names if not name.startswith("-")],
            [name[1:] for name in names if name.startswith("-")],
        )

    @classmethod
    def of(cls, include: Iterable[str], exclude: Iterable[str], *, of_default: bool = False) -> "Fields":
        """Return fields of names.

        Args:
            include: See `include`.
            exclude: See `exclude`.
            of_default: See `of_default`.

        Raises:
            QueryError: There are too many.
        """
        fields = cls(include=frozenset(include), exclude=frozenset(exclude), of_default=of_default)
        if len(fields.include) + len(fields.exclude) > _MAX:
            raise QueryError(f"fields: found more than {_MAX} names; ask for fewer")
        return fields

    def apply(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return the item with the fields that are asked for; one that is both included and excluded is shown."""
        if not self.include and not self.exclude:
            return item
        wanted = _ALWAYS - self.exclude | self.include if self.include else _DEFAULT
        shown = item
        if self.include or self.of_default:
            shown = {}
            for path in sorted(wanted):
                _copy(item, shown, path.split("."))
        for path in self.exclude - self.include:
            # A part of it may be asked for; then that is all that is there.
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

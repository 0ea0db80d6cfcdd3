"""Parses CQL2 text (OGC 21-065r2, annex B) to CQL2 JSON, in time that grows with the length of the text.

Libraries that backtrack take exponential time for invalid text with a few brackets.
"""

import re
from typing import Any, NamedTuple

MAX_DEPTH = 32
"""Maximum number of nested brackets and prefixes."""
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
    |(?P<text>'(?:[^']|'')*')
    |(?P<name>[^\W\d][\w:.]*|"(?:[^"]|"")*")
    |(?P<sign><>|!=|<=|>=|[-+*/%^=<>(),])
    |(?P<end>$)
    )""",
    re.VERBOSE,
)
_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_LITERALS = {"TRUE": True, "FALSE": False, "NULL": None}
_RESERVED = frozenset({"AND", "OR"})
# Names and how deep their coordinates are nested.
_GEOMETRIES = {
    "POINT": ("Point", 0),
    "LINESTRING": ("LineString", 1),
    "MULTIPOINT": ("MultiPoint", 1),
    "POLYGON": ("Polygon", 2),
    "MULTILINESTRING": ("MultiLineString", 2),
    "MULTIPOLYGON": ("MultiPolygon", 3),
}
_COLLECTION = "GEOMETRYCOLLECTION"
_LOWER_CASE = re.compile(r"[sta]_\w+|casei|accenti", re.IGNORECASE)
_NUMBERS_OF_BBOX = (4, 6)


class TextError(ValueError):
    """A text that is not CQL2."""


class _Token(NamedTuple):
    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        """A keyword in capitals; empty for anything else, also for names in quotation marks."""
        return self.text.upper() if self.kind == "name" and self.text[0] != '"' else ""


def parse(text: str) -> Any:
    """Return CQL2 text as CQL2 JSON.

    Raises:
        TextError: The text is not CQL2, or nested too deeply.
    """
    parser = _Parser(_tokens(text))
    parsed = parser.disjunction()
    if parser.next.kind != "end":
        raise parser.unexpected()
    return parsed


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while True:
        match = _TOKEN.match(text, at)
        if match is None:
            rest = text[at:].lstrip()
            raise TextError(f"found {rest[:20]!r} at character {len(text) - len(rest) + 1}")
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind)))
        if kind == "end":
            return found
        at = match.end()


class _Parser:
    """A recursive descent without backtracking: each token is looked at once."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._at, self._depth = tokens, 0, 0

    @property
    def next(self) -> _Token:
        return self._tokens[self._at]

    def unexpected(self) -> TextError:
        found = self.next
        what = "the end" if found.kind == "end" else repr(found.text[:20])
        return TextError(f"found {what} at character {found.at + 1}")

    def disjunction(self) -> Any:
        return self._chain("or", self._conjunction)

    def _conjunction(self) -> Any:
        return self._chain("and", self._negation)

    def _chain(self, op: str, part: Any) -> Any:
        args = [part()]
        while self._takes_word(op.upper()):
            args.append(part())
        if len(args) == 1:
            return args[0]
        same = (isinstance(one, dict) and one.get("op") == op for one in args)
        flat = [inner for one, is_same in zip(args, same, strict=True) for inner in (one["args"] if is_same else [one])]
        return {"op": op, "args": flat}

    def _negation(self) -> Any:
        negations = 0
        while self._takes_word("NOT"):
            negations += 1
            self._check_depth(negations)
        found = self._comparison()
        for _ in range(negations):
            found = _negated(found)
        return found

    def _comparison(self) -> Any:
        left = self._sum()
        if self.next.kind == "sign" and self.next.text in _COMPARISONS:
            return {"op": _COMPARISONS[self._take().text], "args": [left, self._sum()]}
        if self._takes_word("IS"):
            negative = self._takes_word("NOT")
            self._need_word("NULL")
            made: Any = {"op": "isNull", "args": [left]}
            return _negated(made) if negative else made
        # NOT can only stand here before one of these.
        negative = self._takes_word("NOT")
        if self._takes_word("IN"):
            self._need("(")
            made = {"op": "in", "args": [left, self._list(self._sum)]}
        elif self._takes_word("BETWEEN"):
            low = self._sum()
            self._need_word("AND")
            made = {"op": "between", "args": [left, low, self._sum()]}
        elif self._takes_word("LIKE"):
            made = {"op": "like", "args": [left, self._sum()]}
        elif negative:
            raise self.unexpected()
        else:
            return left
        return _negated(made) if negative else made

    def _sum(self) -> Any:
        left = self._product()
        while self.next.kind == "sign" and self.next.text in {"+", "-"}:
            left = {"op": self._take().text, "args": [left, self._product()]}
        return left

    def _product(self) -> Any:
        left = self._power()
        while (self.next.kind == "sign" and self.next.text in {"*", "/", "%"}) or self.next.word == "DIV":
            left = {"op": self._take().text.lower(), "args": [left, self._power()]}
        return left

    def _power(self) -> Any:
        left = self._signed()
        while self.next.kind == "sign" and self.next.text == "^":
            self._take()
            left = {"op": "^", "args": [left, self._signed()]}
        return left

    def _signed(self) -> Any:
        signs, negative = 0, False
        while self.next.kind == "sign" and self.next.text in {"+", "-"}:
            negative ^= self._take().text == "-"
            signs += 1
            self._check_depth(signs)
        found = self._primary()
        if not negative:
            return found
        return -found if isinstance(found, float) else {"op": "*", "args": [-1.0, found]}

    def _primary(self) -> Any:
        found = self.next
        if found.kind == "number":
            return float(self._take().text)
        if found.kind == "text":
            return self._take().text[1:-1].replace("''", "'")
        if found.kind == "sign" and found.text == "(":
            self._take()
            inside = self._list(self.disjunction)
            return inside[0] if len(inside) == 1 else inside
        if found.kind != "name" or found.word in _RESERVED:
            raise self.unexpected()
        return self._named(self._take())

    def _named(self, found: _Token) -> Any:
        """Return what begins with a name: a property, a literal, a geometry or a call."""
        if found.text[0] == '"':
            return {"property": found.text[1:-1].replace('""', '"')}
        if found.word in _LITERALS:
            return _LITERALS[found.word]
        if found.word in _GEOMETRIES or found.word == _COLLECTION:
            return self._geometry(found.word)
        return self._call(found) if self._takes("(") else {"property": found.text}

    def _call(self, name: _Token) -> Any:
        args = [] if self._takes(")") else self._list(self.disjunction)
        match name.word:
            case "DATE" | "TIMESTAMP" if len(args) == 1:
                return {name.word.lower(): args[0]}
            case "INTERVAL":
                return {"interval": [_plain_time(one) for one in args]}
            case "BBOX" if len(args) in _NUMBERS_OF_BBOX:
                return {"bbox": args}
        return {"op": name.text.lower() if _LOWER_CASE.fullmatch(name.text) else name.text, "args": args}

    def _geometry(self, word: str) -> Any:
        if self.next.word in {"Z", "M", "ZM"}:
            self._take()
        is_empty = self._takes_word("EMPTY")
        if not is_empty:
            self._need("(")
        if word == _COLLECTION:
            parts = [] if is_empty else self._list(self._part)
            return {"type": "GeometryCollection", "geometries": parts}
        kind, level = _GEOMETRIES[word]
        return {"type": kind, "coordinates": [] if is_empty else self._coordinates(level)}

    def _part(self) -> Any:
        if self.next.word not in _GEOMETRIES and self.next.word != _COLLECTION:
            raise self.unexpected()
        return self._geometry(self._take().word)

    def _coordinates(self, level: int) -> Any:
        """Return coordinates up to the closing bracket; the opening one has been taken."""
        if level == 0:
            found = []
            while not self._takes(")"):
                found.append(self._coordinate())
            return found
        return self._list(lambda: self._position() if level == 1 else self._ring(level))

    def _ring(self, level: int) -> Any:
        self._need("(")
        return self._coordinates(level - 1)

    def _position(self) -> Any:
        if self._takes("("):
            return self._coordinates(0)
        found = [self._coordinate()]
        while not (self.next.kind == "sign" and self.next.text in {",", ")"}):
            found.append(self._coordinate())
        return found

    def _coordinate(self) -> float:
        sign = -1.0 if self._takes("-") else 1.0
        if self.next.kind != "number":
            raise self.unexpected()
        return sign * float(self._take().text)

    def _list(self, part: Any) -> list[Any]:
        """Return what stands between commas, up to the closing bracket; the opening one has been taken."""
        self._depth += 1
        self._check_depth(0)
        found = [part()]
        while self._takes(","):
            found.append(part())
        self._need(")")
        self._depth -= 1
        return found

    def _check_depth(self, more: int) -> None:
        if self._depth + more > MAX_DEPTH:
            raise TextError(f"more than {MAX_DEPTH} nested brackets, NOT or signs at character {self.next.at + 1}")

    def _take(self) -> _Token:
        found = self.next
        self._at += 1
        return found

    def _takes(self, sign: str) -> bool:
        if self.next.kind != "sign" or self.next.text != sign:
            return False
        self._at += 1
        return True

    def _takes_word(self, word: str) -> bool:
        if self.next.word != word:
            return False
        self._at += 1
        return True

    def _need(self, sign: str) -> None:
        if not self._takes(sign):
            raise self.unexpected()

    def _need_word(self, word: str) -> None:
        if not self._takes_word(word):
            raise self.unexpected()


def _negated(value: Any) -> Any:
    return {"op": "not", "args": [value]}


def _plain_time(value: Any) -> Any:
    """Return the text of a date or timestamp, as intervals have them."""
    if isinstance(value, dict) and len(value) == 1 and set(value) <= {"date", "timestamp"}:
        return next(iter(value.values()))
    return value

"""SQL of what counts as blank, and as the same text; the definition is that of `normalise.text`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from psycopg import sql

from target_crm.normalise.text import INVISIBLE, WHITE_SPACE

_S = sql.SQL
# Python's names of the encodings that hold more than ASCII of these characters.
_CODECS = {
    "LATIN1": "latin-1", "LATIN2": "iso8859-2", "LATIN5": "iso8859-9", "LATIN9": "iso8859-15",
    "WIN1250": "cp1250", "WIN1251": "cp1251", "WIN1252": "cp1252", "WIN1254": "cp1254", "WIN866": "cp866",
    "ISO_8859_5": "iso8859-5", "KOI8R": "koi8-r", "KOI8U": "koi8-u",
}  # fmt: skip
_CYRILLIC = "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯІЇЄҐЎ"
_RUSSIAN_LETTERS = 33
_RUSSIAN = _CYRILLIC[:_RUSSIAN_LETTERS]
_SIGNS = "«»„“”‘’№–—…°§"
# Of texts of these characters alone nothing is taken away or composed: nearly all texts are. The test takes a tenth of
# the time of the whole, and names its collation, since PostgreSQL refuses it under one that is not deterministic.
_NOT_PLAIN = f"[^ -~\u0410-\u044f\u0401\u0451{_SIGNS}]"
_NOT_ASCII = _S("({}::text COLLATE pg_catalog.\"C\") ~ '[^ -~]'")
_CYRILLIC_ENCODINGS = ("UTF8", "WIN1251", "KOI8R", "KOI8U", "ISO_8859_5", "WIN866")


def _is_not_plain(text: sql.Composable) -> sql.Composed:
    return _S('({} COLLATE pg_catalog."C") ~ {}').format(text, sql.Literal(_NOT_PLAIN))


@dataclass(frozen=True)
class TextRules:
    """Expressions for a database of that encoding: a statement may hold no character that the encoding lacks."""

    encoding: str = "UTF8"

    def _known(self, characters: str) -> sql.Literal:
        if self.encoding == "UTF8":
            return sql.Literal(characters)
        codec = _CODECS.get(self.encoding, "ascii")
        return sql.Literal(characters.encode(codec, "ignore").decode(codec))

    @cached_property
    def _blanks(self) -> sql.Literal:
        return self._known(WHITE_SPACE + INVISIBLE)

    @cached_property
    def _white(self) -> sql.Literal:
        return self._known(WHITE_SPACE)

    @cached_property
    def _invisible(self) -> sql.Literal:
        return self._known(INVISIBLE)

    def has_other_letters(self, value: sql.Composable) -> sql.Composed:
        """Whether a text holds characters of which PostgreSQL and Python may not make the same lower case: others than
        ASCII, Russian letters, and signs that have none."""
        signs = _SIGNS if self.encoding == "UTF8" else ""
        letters = _RUSSIAN + _RUSSIAN.lower() if self.encoding in _CYRILLIC_ENCODINGS else ""
        return _S('({}::text COLLATE pg_catalog."C") ~ {}').format(value, sql.Literal(f"[^ -~{letters}{signs}]"))

    def is_blank(self, value: sql.Composable) -> sql.Composed:
        """Whether a text that is not NULL shows nothing."""
        blank = _S("pg_catalog.btrim({}::text, {}) = ''").format(value, self._blanks)
        if self.encoding != "UTF8":
            return blank
        # Nearly every text begins with a letter, which its code tells at once.
        return _S(
            "CASE WHEN pg_catalog.ascii({v}::text) BETWEEN 33 AND 127 OR pg_catalog.ascii({v}::text) BETWEEN 1040 AND "
            "1279 THEN false ELSE {blank} END"
        ).format(v=value, blank=blank)

    def _shown(self, value: sql.Composable) -> sql.Composed:
        """A text without what does not show in it, and around it."""
        return _S("pg_catalog.btrim(pg_catalog.translate({}::text, {}, ''), {})").format(
            value, self._invisible, self._white
        )

    def key(self, value: sql.Composable) -> sql.Composed:
        """What two texts have in common that a person can't tell apart."""
        # Other encodings hold composed letters alone.
        if self.encoding != "UTF8":
            return self._shown(value)
        return _S("CASE WHEN {not_plain} THEN normalize({shown}, NFC) ELSE pg_catalog.btrim({value}::text) END").format(
            not_plain=_is_not_plain(_S("{}::text").format(value)), shown=self._shown(value), value=value
        )

    def same(self, left: sql.Composable, right: sql.Composable) -> sql.Composed:
        """Whether two texts have the same key. Both are tested at once, since that is most of the time."""
        if self.encoding != "UTF8":
            return _S("{} = {}").format(self._shown(left), self._shown(right))
        return _S(
            "CASE WHEN {not_plain} THEN normalize({shown_left}, NFC) = normalize({shown_right}, NFC) "
            "ELSE pg_catalog.btrim({left}::text) = pg_catalog.btrim({right}::text) END"
        ).format(
            not_plain=_is_not_plain(_S("({}::text || {}::text)").format(left, right)),
            shown_left=self._shown(left),
            shown_right=self._shown(right),
            left=left,
            right=right,
        )

    def source_number(self, value: sql.Composable) -> sql.Composed:
        """The number, as text, that stands for a record's id: `normalise.numbers.source_number`."""
        return _S(
            """
            (SELECT CASE WHEN given.id ~ '^(0|[1-9][0-9]{{0,17}})$' THEN given.id
                ELSE ((('x' || substr(md5(convert_to(given.id, 'UTF8')), 1, 16))::bit(64)::bigint)
                    & 9223372036854775807)::text END
            FROM (SELECT {} AS id) AS given)
            """
        ).format(self.key(value))

    def lower_key(self, value: sql.Composable) -> sql.Composed:
        """The same in lower case; Cyrillic letters also where the database's locale is C, and I as i also where it is
        Turkish."""
        lower = _S("pg_catalog.lower(pg_catalog.translate({}, 'I', 'i'))").format(self.key(value))
        if self.encoding not in _CYRILLIC_ENCODINGS:
            return lower
        upper = _CYRILLIC if self.encoding == "UTF8" else _CYRILLIC[:_RUSSIAN_LETTERS]
        whole = _S("pg_catalog.translate({}, {}, {})").format(lower, sql.Literal(upper), sql.Literal(upper.lower()))
        if self.encoding != "UTF8":
            return whole
        return _S(
            'CASE WHEN {} THEN {} ELSE pg_catalog.lower(pg_catalog.btrim({}::text) COLLATE pg_catalog."C") END'
        ).format(_NOT_ASCII.format(value), whole, value)


@lru_cache
def text_rules(encoding: str) -> TextRules:
    """The expressions for databases of that encoding."""
    return TextRules(encoding)

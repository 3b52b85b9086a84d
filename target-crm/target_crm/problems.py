"""What can be wrong with a record or a value, by code: `E_...` for what is rejected, `W_...` for what is warned of.

Code and arguments are what is stored and compared; texts in English and Russian are rendered from them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from target_crm.presentation.texts.rendering import parameters, problem_text, whole_text

_LONGEST_KEPT = 2000
_LARGEST_BITS = 4096
_MOST_KEPT = 50


@dataclass(frozen=True)
class Problem:
    """A code of the registry with its arguments, which are plain JSON.

    Raises:
        KeyError: the registry has no such code, or an argument of it is missing.
    """

    code: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = parameters(self.code) - self.args.keys()
        if missing:
            msg = f"{self.code} lacks {', '.join(sorted(missing))}"
            raise KeyError(msg)

    def text(self, language: str = "en") -> str:
        """What happened, in a sentence."""
        return problem_text(self.code, self.args, language)

    def whole_text(self, language: str = "en") -> str:
        """What happened and what to do."""
        return whole_text(self.code, self.args, language)

    def as_dict(self) -> dict[str, Any]:
        """Code and arguments as `sync_runs.notices` holds them."""
        return {"code": self.code, "args": dict(self.args)}

    @property
    def args_json(self) -> str:
        """The arguments as jsonb takes them."""
        return str(as_jsonb(self.args))


def as_jsonb(value: Any) -> str | None:
    """A value of a record as jsonb takes it: without NUL and halves of surrogate pairs; a very long one cut."""
    if value is None:
        return None
    text = json.dumps(_cut(value), ensure_ascii=False, default=str)
    return text.replace("\\u0000", "").encode("utf-8", "replace").decode()


def _cut(value: Any) -> Any:
    """The value with its long texts cut; one that is large as a whole as the beginning of its text."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_KEPT else value[: _LONGEST_KEPT - 1] + "…"
    if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
        return hex(value)[:_LONGEST_KEPT]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k)[:_LONGEST_KEPT]: _cut(v) for k, v in list(value.items())[:_MOST_KEPT]}
    if isinstance(value, (list, tuple)):
        return [_cut(v) for v in value[:_MOST_KEPT]]
    return value

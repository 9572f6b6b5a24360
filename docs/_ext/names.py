"""Write the reference: a page per public name, and an index that lists all of them.

Made from `attribution.__all__`, so no name can be missing. The pages go to docs/reference/api,
which git ignores.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx

import attribution

_CLASS = """
   :members:
   :inherited-members: Exception
   :exclude-members: __init__, add_note, with_traceback, args
"""


def _kind(name: str) -> str:
    value = getattr(attribution, name)
    if isinstance(value, ModuleType):
        return "Modules"
    if value.__module__ in ("attribution.metrics", "attribution.functions"):
        return "What a KPI is"
    return "Data and results" if inspect.isclass(value) else "Questions"


def _purpose(value: object) -> str:
    return (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")


def _entry(full: str, value: object) -> str:
    if inspect.isclass(value):
        return f".. autoclass:: {full}{_CLASS}"
    return f".. {'autofunction' if callable(value) else 'autodata'}:: {full}\n"


def _title(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n\n"


def _page(name: str) -> str:
    value = getattr(attribution, name)
    full = f"attribution.{name}"
    if not isinstance(value, ModuleType):
        return _title(name, "=") + _entry(full, value)
    members = [
        _title(member, "-") + _entry(f"{full}.{member}", getattr(value, member))
        for member in value.__all__
    ]
    purpose = inspect.getdoc(value).split("\n\n")[0]
    return _title(full, "=") + purpose + "\n\n" + "\n".join(members)


def _index() -> str:
    names = sorted(attribution.__all__, key=str.casefold)
    text = _title("Names", "=")
    text += "``import attribution as at``; each of these is a name of ``at``.\n\n"
    for kind in ("Questions", "What a KPI is", "Data and results", "Modules"):
        text += _title(kind, "-") + ".. list-table::\n   :widths: 30 70\n\n"
        for name in (n for n in names if _kind(n) == kind):
            text += f"   * - :doc:`{name} <{name}>`\n"
            text += f"     - {_purpose(getattr(attribution, name))}\n"
        text += "\n"
    pages = "\n".join(f"   {name}" for name in names)
    return f"{text}.. toctree::\n   :hidden:\n\n{pages}\n"


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir, "reference", "api")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{name}.rst": _page(name) for name in attribution.__all__} | {"index.rst": _index()}
    for old in folder.iterdir():
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

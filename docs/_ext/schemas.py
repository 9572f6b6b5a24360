"""The directives `config-schema` and `commands`: tables made of the code they describe."""

from __future__ import annotations

import types
import typing
from typing import Any

import typer
from docutils import nodes
from docutils.parsers.rst import Directive
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from attribution.cli import app as command
from attribution.config import ReviewConfig


def _models(model: type[BaseModel], name: str = "") -> list[tuple[str, type[BaseModel]]]:
    """A model and those within it, each with the TOML name of its table."""
    found = [(name, model)]
    for key, field in model.model_fields.items():
        for inner, repeated in _inner(field.annotation):
            path = f"{name}.{key}".lstrip(".") + {"list": "[]", "dict": ".NAME", "": ""}[repeated]
            found += _models(inner, path)
    return found


def _inner(annotation: Any, repeated: str = "") -> list[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(annotation, repeated)]
    origin = typing.get_origin(annotation)
    repeated = {list: "list", dict: "dict"}.get(origin, repeated)
    return [m for a in typing.get_args(annotation) for m in _inner(a, repeated)]


def _type(annotation: Any) -> str:
    """A type as one would say it in TOML."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f'`"{a}"`' for a in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(a) for a in arguments if a is not type(None))
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"table of {_type(arguments[-1])}"
    names = {str: "text", float: "number", int: "whole number", bool: "true or false"}
    return names.get(annotation, "table")


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ({}, [], ()) or isinstance(value, BaseModel):
        return ""
    shown = str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
    return f"`{shown}`"


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |\n" for row in cells)


class ConfigSchema(SphinxDirective):
    """A heading and a table of keys per table of the review's TOML file."""

    def run(self) -> list[nodes.Node]:
        text = ""
        for name, model in _models(ReviewConfig):
            rows = [
                [f"`{key}`", _type(f.annotation), _default(f), f.description or ""]
                for key, f in model.model_fields.items()
                if not _inner(f.annotation)
            ]
            title = f"`[[{name[:-2]}]]`" if name.endswith("[]") else f"`[{name}]`"
            text += f"## {title if name else 'Top of the file'}\n\n{model.__doc__}\n\n"
            text += _table(["key", "type", "default", "meaning"], rows) + "\n" if rows else ""
        return self.parse_text_to_nodes(text, allow_section_headings=True)


class Commands(SphinxDirective):
    """A heading and a table of options per command."""

    def run(self) -> list[nodes.Node]:
        text = ""
        group = typer.main.get_command(command)
        for name, made in group.commands.items():
            text += f"## attribution {name}\n\n{made.help}\n\n"
            rows = [
                [
                    ", ".join(f"`{o}`" for o in p.opts)
                    if p.param_type_name == "option"
                    else f"`{(p.metavar or p.name).upper()}`",
                    "" if p.default in (None, False) or callable(p.default) else f"`{p.default}`",
                    getattr(p, "help", None) or "",
                ]
                for p in made.params
            ]
            text += _table(["option", "default", "meaning"], rows) + "\n"
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    directives: dict[str, type[Directive]] = {"config-schema": ConfigSchema, "commands": Commands}
    for name, directive in directives.items():
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

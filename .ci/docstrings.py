"""Validate the docstrings of every public name and its public methods with numpydoc."""

from __future__ import annotations

import inspect
import sys

from numpydoc.validate import validate

import attribution as at

# Missing, unknown or undocumented parameters, no docstring, no full sentence.
CHECKS = {"GL08", "PR01", "PR02", "PR03", "SS01", "SS03", "SS06"}


def public_names() -> list[str]:
    """The names `attribution` exports, the members of its public modules, and public methods."""
    names = []
    for exported in at.__all__:
        value = getattr(at, exported)
        members = {exported: value}
        if inspect.ismodule(value):
            members = {f"{exported}.{n}": getattr(value, n) for n in value.__all__}
        for name, member in members.items():
            if not callable(member):
                continue
            names.append(f"attribution.{name}")
            if inspect.isclass(member) and not issubclass(member, Exception):
                own = [n for n in vars(member) if not n.startswith("_")]
                names += [f"attribution.{name}.{n}" for n in own if callable(getattr(member, n))]
    return names


def main() -> int:
    """Print what is wrong; return 1 if anything is."""
    found = []
    for name in public_names():
        report = validate(name)
        # A result's fields are documented as its attributes: nobody calls its constructor.
        result = report["type"] == "type" and "Attributes\n" in report["docstring"]
        found += [
            f"{name}: {code} {text}"
            for code, text in report["errors"]
            if code in CHECKS and not (result and code == "PR01")
        ]
    print("\n".join(found) or f"{len(public_names())} public docstrings are in order")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

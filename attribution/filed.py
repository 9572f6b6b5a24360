"""What scorecards, targets and comparisons have in common: they go into files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attribution.privacy import Privacy

__all__ = ["Filed"]


class Filed:
    """A result with a page, a deck, a workbook and plain values of its own.

    `attribution.reports.sections` writes several of them into one file.
    """

    def to_dict(self, *, privacy: Privacy | None = None) -> dict[str, Any]:
        """Return what its files show as plain values, null for none, 12 significant digits.

        Parameters
        ----------
        privacy : Privacy, optional
            Who may be seen; entities that are people are hidden by default.

        Returns
        -------
        dict
            `message`, `tables` (name -> rows), `notes`, `findings`, `not_shown`, `provenance`.
        """
        from attribution.reports.sections import plain_values

        return plain_values(self, privacy)

    def to_json(self, path: str | Path | None = None, *, privacy: Privacy | None = None) -> str:
        """Return (and write, if a path is given) `to_dict` as JSON.

        Parameters
        ----------
        path : str or Path, optional
        privacy : Privacy, optional
            Who may be seen; people are hidden by default.

        Returns
        -------
        str
        """
        text = json.dumps(self.to_dict(privacy=privacy), ensure_ascii=False, indent=1)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_html(self, path: str | Path, *, privacy: Privacy | None = None) -> Path:
        """Write a self-contained HTML page: pictures, tables to sort and filter, findings, method.

        Parameters
        ----------
        path : str or Path
        privacy : Privacy, optional
            Who may be seen; entities that are people are hidden by default.

        Returns
        -------
        Path

        Raises
        ------
        OptionError
            The file cannot be written.
        """
        from attribution.reports.sections import write_html

        return write_html([self], path, privacy=privacy)

    def to_pptx(
        self,
        path: str | Path,
        *,
        template: str | Path | None = None,
        append_to: str | Path | None = None,
        layout: str | None = None,
        privacy: Privacy | None = None,
    ) -> Path:
        """Write a deck of native charts and tables, numbers and caveats in the speaker notes.

        Parameters
        ----------
        path : str or Path
        template : str or Path, optional
            A company's .pptx: its layouts are used, its sample slides left out.
        append_to : str or Path, optional
            A deck whose slides stay in front.
        layout : str, optional
            The name of a layout that has a title; "Title Only" by default.
        privacy : Privacy, optional
            Who may be seen; entities that are people are hidden by default.

        Returns
        -------
        Path

        Raises
        ------
        OptionError
            The file cannot be written, or there is no such layout: the message lists them.
        """
        from attribution.reports.sections import write_pptx

        return write_pptx(
            [self], path, template=template, append_to=append_to, layout=layout, privacy=privacy
        )

    def to_excel(self, path: str | Path, *, privacy: Privacy | None = None) -> Path:
        """Write a workbook: a sheet per table, with filters, ratios and sums as live formulas.

        Parameters
        ----------
        path : str or Path
        privacy : Privacy, optional
            Who may be seen; entities that are people are hidden by default.

        Returns
        -------
        Path

        Raises
        ------
        OptionError
            The file cannot be written.
        """
        from attribution.reports.sections import write_excel

        return write_excel([self], path, privacy=privacy)

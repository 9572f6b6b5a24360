# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. A briefing deck in the company's template
#
# The deck for Monday's meeting: the company's layouts, fonts and colors, a sentence with its number as the title of every
# slide, charts that PowerPoint can edit, and the caveats in the speaker notes.
#
# You have a template; skip the next cell then. It makes one, so that this notebook needs no file: widescreen, a serif font,
# titles in the company's color, and one layout with a bar above the title and a line at the foot.

# %%
import shutil
import subprocess
import tempfile
from pathlib import Path

from IPython.display import Image, display
from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.util import Pt

import attribution as at

folder = Path(tempfile.mkdtemp())
template = folder / "company.pptx"


def make_template(path: Path, color: str = "00574B", font: str = "DejaVu Serif") -> None:
    deck = Presentation()
    deck.slide_width, deck.slide_height = Pt(960), Pt(540)
    (look,) = [r.target_part for r in deck.slide_master.part.rels.values() if "theme" in r.reltype]
    look._blob = look.blob.replace(b'typeface="Calibri"', f'typeface="{font}"'.encode())

    layout = next(x for x in deck.slide_layouts if x.name == "Title Only")
    layout.name = "Message and evidence"
    for holder in (deck.slide_master, layout):
        title = holder.placeholders[0]
        title.left, title.top, title.width, title.height = Pt(40), Pt(34), Pt(880), Pt(66)
        for line in deck.slide_master.element.xpath(".//p:titleStyle//a:solidFill"):
            line.clear()
            line.append(line.makeelement(line.nsmap["a"].join("{}") + "srgbClr", {"val": color}))
    # A sample slide, as templates have them; its bars are moved into the layout.
    sample = deck.slides.add_slide(layout)
    sample.shapes.title.text = "Sample slide: delete me"
    for top, height in ((0, 16), (532, 8)):
        bar = sample.shapes.add_shape(1, 0, Pt(top), Pt(960), Pt(height))
        bar.fill.solid()
        bar.fill.fore_color.rgb = RGBColor.from_string(color)
        bar.line.fill.background()
        layout.shapes._spTree.append(bar._element)
    deck.save(path)


make_template(template)

# %% [markdown]
# ## The question

# %%
ops = at.datasets.simulate_moderation("standard", months=4)
question = dict(
    by=["queue", "policy", "market", "tenure"],
    period="month",
    cluster="moderator_id",
    weight="weight",
    where="design != 'targeted'",
)
accuracy = at.Rate("correct", "reviewed", name="Accuracy")
change = at.explain(ops.qa_reviews, accuracy, baseline="2025-03", current="2025-04", **question)
history = at.trend(ops.qa_reviews, accuracy, **question)
print(change.narrative("headline"))

# %% [markdown]
# ## The deck
#
# A template usually has many layouts. Name the one to use; a name that is not there is answered with those that are:

# %%
try:
    change.to_pptx(folder / "briefing.pptx", template=template)
except at.errors.OptionError as error:
    print(error)

# %% [markdown]
# The fonts and the background come from the template. The colors of bars have a meaning (good, bad), so they come from a
# `Theme`, which a company sets once. `trend=` adds a slide of the months before.

# %%
company = at.Theme(fonts=["DejaVu Serif"], good="#00796b", bad="#c2410c", current="#00574b")
with company:
    deck = change.to_pptx(
        folder / "briefing.pptx", template=template, layout="Message and evidence", trend=history
    )

for slide in Presentation(deck).slides:
    print("-", slide.shapes.title.text)

# %% [markdown]
# The template's sample slide is gone, the master is not. Every slide has notes: what the picture says in words, the
# intervals, and what must not be concluded.

# %%
print(Presentation(deck).slides[0].notes_slide.notes_text_frame.text)

# %% [markdown]
# ## A second KPI behind it
#
# `append_to` takes a deck, its slides and its layouts, and adds to it; the old file stays as it was.

# %%
time_by = at.explain(
    ops.decisions,
    "aht",
    by=["queue", "tenure"],
    period="month",
    baseline="2025-03",
    current="2025-04",
    cluster="moderator_id",
)
with company:
    both = time_by.to_pptx(folder / "both.pptx", append_to=deck, layout="Message and evidence")
print(len(Presentation(deck).slides), "slides, then", len(Presentation(both).slides))

# %% [markdown]
# ## How it looks
#
# Drawn by LibreOffice where it is installed; PowerPoint draws the same file.


# %%
def pictures(path: Path) -> list[Path]:
    """One PNG per slide."""
    convert = ["soffice", f"-env:UserInstallation={(folder / 'office').as_uri()}", "--headless"]
    convert += ["--convert-to", "pdf", "--outdir", str(folder), str(path)]
    subprocess.run(convert, check=True, capture_output=True)
    pages = ["pdftoppm", "-png", "-r", "60", str(path.with_suffix(".pdf")), str(folder / path.stem)]
    subprocess.run(pages, check=True)
    return sorted(folder.glob(f"{path.stem}-*.png"))


if shutil.which("soffice") and shutil.which("pdftoppm"):
    for slide in pictures(deck):
        display(Image(str(slide)))
else:
    print("LibreOffice is not installed: open", deck)

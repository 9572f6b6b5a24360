"""The parts of the deck that `pptx.py` puts together.

page      a slide: message, lines, where its content goes; templates and layouts
charts    native charts: waterfall, bars, line
table     native tables whose text fits
slides    one slide per question
"""

"""wise-pizza and DivExplorer on the worlds of `causes.py`; run by it, in their own environment.

Each peer is asked for as many segments as were planted at most (three), which flatters it: none of
them says how many there are. wise-pizza explains the change of the average; DivExplorer compares
the divergence of a segment's error rate between the months, by its t.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

MOST = 3
SUPPORT = 0.005


def _frames(names, codes, n, k):
    table = {d: np.char.add(d, codes[:, i].astype(str)) for i, d in enumerate(names)}
    return [
        pd.DataFrame({**table, "n": n[t], "ok": k[t]}).groupby(list(names), as_index=False).sum()
        for t in (0, 1)
    ]


def wise_pizza(names, codes, n, k) -> list[frozenset]:
    """Segments of `explain_changes_in_average`."""
    from wise_pizza import explain_changes_in_average

    before, after = (f[f["n"] > 0] for f in _frames(names, codes, n, k))
    found = explain_changes_in_average(
        before, after, list(names), "ok", "n", max_depth=3, max_segments=MOST,
        how="totals", verbose=False,
    )  # fmt: skip
    segments = [s["segment"] for s in found.segments]
    plain = [{d: v for d, v in s.items() if d in names} for s in segments]
    return list(dict.fromkeys(frozenset(s.items()) for s in plain if s))[:MOST]


def divexplorer(names, codes, n, k) -> list[frozenset]:
    """Segments whose error rate moved most against its noise, nested ones left out."""
    from divexplorer import DivergenceExplorer

    moved = {}
    for t, frame in enumerate(_frames(names, codes, n, k)):
        rows = []
        for value, count in ((True, frame["n"] - frame["ok"]), (False, frame["ok"])):
            part = frame[list(names)].loc[frame.index.repeat(count.astype(int))]
            rows.append(part.assign(error=value))
        explorer = DivergenceExplorer(pd.concat(rows, ignore_index=True))
        patterns = explorer.get_pattern_divergence(
            min_support=SUPPORT, attributes=list(names), boolean_outcomes=["error"]
        )
        for items, rate, count in zip(
            patterns["itemset"], patterns["error"], patterns["support_count"], strict=True
        ):
            moved.setdefault(frozenset(items), {})[t] = (rate, count)
    scored = []
    whole = moved.get(frozenset(), {0: (0, 1), 1: (0, 1)})
    shift = whole[1][0] - whole[0][0]
    for items, by in moved.items():
        if len(by) == 2 and items:
            (r0, n0), (r1, n1) = by[0], by[1]
            noise = np.sqrt(r0 * (1 - r0) / n0 + r1 * (1 - r1) / n1 + 1e-12)
            scored.append((abs(r1 - r0 - shift) / noise, items))
    scored.sort(key=lambda x: -x[0])
    chosen: list[frozenset] = []
    for t, items in scored:
        if t < 1.96 or len(chosen) == MOST:
            break
        if not any(items <= c or c <= items for c in chosen):
            chosen.append(items)
    return [frozenset(tuple(i.split("=", 1)) for i in c) for c in chosen]


def main() -> None:
    """Print a table of F1, CPU seconds and how often something is named in nulls."""
    worlds = pickle.loads(Path(sys.argv[1]).read_bytes())
    print("| peer | form | exact-match F1 | CPU s | null names |\n|---|---|---|---|---|")
    for peer in (wise_pizza, divexplorer):
        for form in dict.fromkeys(w[5] for w in worlds):
            hits = wrong = missed = named = nulls = 0
            seconds = []
            for names, codes, n, k, truth, own, null in worlds:
                if own != form:
                    continue
                started = time.process_time()
                with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                    warnings.simplefilter("ignore")
                    found = set(peer(names, codes, n, k))
                seconds.append(time.process_time() - started)
                if null:
                    nulls, named = nulls + 1, named + bool(found)
                    continue
                hits += len(found & truth)
                wrong += len(found - truth)
                missed += len(truth - found)
            f1 = 2 * hits / max(2 * hits + wrong + missed, 1)
            print(f"| {peer.__name__} | {form} | {f1:.2f} | {np.median(seconds):.2f} | "
                  f"{100 * named / max(nulls, 1):.0f} % |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

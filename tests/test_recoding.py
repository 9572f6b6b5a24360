"""Renames, code splits and merges: proposed with the mapping to paste, and only where they are."""

from __future__ import annotations

import ast

import numpy as np
import pandas as pd
import pytest

import attribution as at

A, B = "2026-08", "2026-10"
PROPOSALS = r"probable_|unclear_|proposed_"
# (volume, rate) per policy; every policy's work is spread over two markets.
STEADY = {"spam": (400, 0.95), "minors": (300, 0.85), "violence": (200, 0.90)}


def explain(before: dict, after: dict, by=("policy", "market"), **options) -> at.Attribution:
    """Policies with (volume, rate) or (volume, rate, part of it in market ID)."""
    rows = []
    for month, policies in ((A, before), (B, after)):
        for policy, (volume, rate, *part) in policies.items():
            for market, share in (("ID", (part or [0.6])[0]), ("BR", 1 - (part or [0.6])[0])):
                size = round(volume * share)
                rows += [(month, policy, market, size, size * rate)] * (size > 0)
    frame = pd.DataFrame(rows, columns=["month", "policy", "market", "n", "good"])
    return at.explain(frame, at.Ratio("good", "n", unit="%"), by=list(by), period="month",
                      baseline=A, current=B, **options)  # fmt: skip


def proposals(change: at.Attribution) -> pd.DataFrame:
    found = change.check()
    return found[found["code"].str.match(PROPOSALS)].set_index("code")


def pasted(message: str) -> dict:
    """The mapping as someone would copy it out of the message."""
    return ast.literal_eval(message.split("mapping=", 1)[1].rstrip("."))


OLD, NEW = {"hate": (100, 0.80)}, {"hate speech": (104, 0.805)}
CASES = {
    "rename": (OLD, NEW, {"hate": "hate speech"}),
    "split": (OLD, {"slurs": (70, 0.78), "threats": (34, 0.85)}, {"slurs": "hate", "threats": "hate"}),
    "merge": ({"slurs": (70, 0.78), "threats": (30, 0.85)}, OLD, {"slurs": "hate", "threats": "hate"}),
    "split off": ({"hate": (100, 0.80)}, {"hate": (40, 0.82), "slurs": (62, 0.79)}, {"slurs": "hate"}),
    "merged into": ({"hate": (40, 0.82), "slurs": (60, 0.79)}, {"hate": (101, 0.80)}, {"slurs": "hate"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_change_of_coding_is_proposed_with_the_mapping_that_undoes_it(case):
    before, after, merges = CASES[case]
    found = proposals(explain({**STEADY, **before}, {**STEADY, **after}))
    assert list(found.index) == [f"probable_{case.split()[0].replace('merged', 'merge')}"]
    mapping = found["facts"].iloc[0]["mapping"]
    assert mapping == pasted(found["message"].iloc[0]) == {"policy": merges}
    again = explain({**STEADY, **before}, {**STEADY, **after}, mapping=mapping)
    assert not set(again.effects["effect"]) & {"entry", "exit"}
    assert not len(proposals(again))


def test_what_is_said_names_levels_shares_and_rates():
    before, after, _ = CASES["split"]
    message = proposals(explain({**STEADY, **before}, {**STEADY, **after}))["message"].iloc[0]
    assert message == (
        "policy: 'hate' left with 10.0 % of the volume at 80.000 % and 'slurs' and 'threats' entered "
        "with 10.4 % of the volume at 80.288 % together. If it was split: mapping={'policy': "
        "{'slurs': 'hate', 'threats': 'hate'}}."
    )
    before, after, _ = CASES["split off"]
    message = proposals(explain({**STEADY, **before}, {**STEADY, **after}))["message"].iloc[0]
    assert message.startswith("policy: 'hate' had 10.0 % of the volume at 80.00")
    assert "If it was split off from 'hate':" in message


@pytest.mark.parametrize(
    "after",
    [
        {"gaming": (104, 0.95)},  # another rate
        {"gaming": (140, 0.80)},  # another share
        {"gaming": (104, 0.80, 0.0)},  # another work: nearly all of it in the other market
        {"gaming": (60, 0.99), "live": (40, 0.90)},  # adds up in share, not in rate
        {"gaming": (100, 0.80), "live": (100, 0.80)},  # either, or both?
        {},  # nothing entered
    ],
)
def test_what_left_and_what_came_for_other_reasons_is_left_alone(after):
    assert not len(proposals(explain({**STEADY, **OLD}, {**STEADY, **after})))


def test_a_new_level_is_not_split_off_from_levels_that_keep_their_work():
    grown = {name: (volume, rate) for name, (volume, rate) in STEADY.items()}
    assert not len(proposals(explain(STEADY, {**grown, "gaming": (90, 0.93)})))
    # Volume that moved over from minors, at another rate or in another market, is work routed anew.
    fewer = {**STEADY, "minors": (200, 0.85)}
    assert not len(proposals(explain(STEADY, {**fewer, "gaming": (100, 0.97)})))
    assert not len(proposals(explain(STEADY, {**fewer, "gaming": (100, 0.85, 0.0)})))
    assert len(proposals(explain(STEADY, {**fewer, "gaming": (100, 0.85)})))


def test_many_to_many_is_reported_and_not_guessed():
    before = {"a": (50, 0.80), "b": (51, 0.80)}
    after = {"x": (50, 0.80), "y": (51, 0.80)}
    found = proposals(explain({**STEADY, **before}, {**STEADY, **after}))
    assert list(found.index) == ["unclear_recoding"]
    facts = found["facts"].iloc[0]
    assert (facts["old"], facts["new"]) == (["a", "b"], ["x", "y"])
    assert "mapping" not in facts
    assert "which became which" in found["message"].iloc[0]
    # Other sums of two and two: nothing fits one by one, the whole does.
    after = {"x": (30, 0.80), "y": (71, 0.80)}
    found = proposals(explain({**STEADY, **before}, {**STEADY, **after}))
    assert list(found.index) == ["unclear_recoding"]


def test_names_that_resemble_each_other_tell_which_became_which():
    before = {"hate_v1": (50, 0.80), "nudity_v1": (51, 0.80)}
    after = {"Hate v2": (51, 0.80), "Nudity v2": (50, 0.80)}
    found = proposals(explain({**STEADY, **before}, {**STEADY, **after}))
    assert list(found.index) == ["probable_rename", "probable_rename", "proposed_mapping"]
    assert pasted(found["message"].iloc[2]) == found["facts"].iloc[2]["mapping"] == {
        "policy": {"hate_v1": "Hate v2", "nudity_v1": "Nudity v2"}
    }  # fmt: skip


def test_rates_of_small_samples_may_differ_by_their_noise():
    rng = np.random.default_rng(1)
    rows = []
    for month, name in ((A, "hate"), (B, "hate speech")):
        for policy, n in (("spam", 3_000), ("minors", 3_000), (name, 120)):
            good = {"spam": 0.99, "minors": 0.80}.get(policy, 0.93)
            rows.append(
                pd.DataFrame({"month": month, "policy": policy, "ok": rng.random(n) < good})
            )
    frame = pd.concat(rows)
    frame["ok"] = frame["ok"].astype(int)
    shown = frame.groupby(["month", "policy"])["ok"].mean()
    change = at.explain(frame, at.Rate("ok"), by="policy", period="month", baseline=A, current=B)
    assert abs(shown[A, "hate"] - shown[B, "hate speech"]) > 0.02
    assert list(proposals(change).index) == ["probable_rename"]


def test_the_simulated_code_split_is_found_and_no_other():
    for options, expected in (((), 0), (("policy_code_split",), 1)):
        world = at.datasets.simulate_moderation("small", months=2, seed=3, options=options)
        change = at.explain(world.qa_reviews, at.Rate("correct"),
                            by=["queue", "policy", "market", "tenure"], period="month",
                            baseline="2025-01", current="2025-02", cluster="moderator_id")  # fmt: skip
        found = proposals(change)
        assert len(found) == expected
        if expected:
            assert found.loc["probable_split", "facts"]["mapping"] == {
                "policy": {"bullying": "harassment"}
            }


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_levels_that_come_and_go_by_chance_are_rarely_taken_for_renames(seed):
    rng, proposed = np.random.default_rng(seed), 0
    for _ in range(10):
        size, rate = rng.gamma(2.0, 500, 14), rng.uniform(0.7, 0.98, 14)
        sides = [
            {name: (n * rng.uniform(0.9, 1.1), r)
             for i, (name, n, r) in enumerate(zip("qwertzuiopasdf", size, rate, strict=True)) if i not in out}
            for out in ((0, 1), (2, 3))
        ]  # fmt: skip
        proposed += len(proposals(explain(*sides)))
    assert proposed <= 3

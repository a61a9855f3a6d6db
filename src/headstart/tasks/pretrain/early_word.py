"""The early word itself: what was measured, what it means and what to try, in one sentence."""

import math

from headstart.results import EarlyVerdict, EarlyWord, LookFigures
from headstart.tasks.pretrain.early_rule import NOISE, RANK_SHARE, Ground, Measure, gain_of, healthy, verdict_of
from headstart.training.health import COLLAPSED_STD

EASY_RETRIEVAL = 0.99
"""Retrieval from which the views change so little that there is not much to learn from them."""

MILDER = "milder views (a larger smallest --views.crop-scale, a smaller --views.colour)"
STRONGER = "stronger views (a smaller smallest --views.crop-scale, a larger --views.colour)"
STEADIER = "a lower --optim.lr or a higher --byol.tau-base"
MEASURES = {"knn": "kNN accuracy", "retrieval": "retrieval of images by their views"}
FLOORS = {"pixels": "raw pixels", "untrained": "an untrained network"}


def early_word(ground: Ground, now: LookFigures, step: int, steps: int) -> EarlyWord:
    """The word on a look after ``step`` of ``steps`` steps."""
    verdict = verdict_of(ground.before, now, ground.measure)
    said = healthy_words(ground, now, verdict) if healthy(now) else unhealthy_words(now)
    return EarlyWord(
        verdict=verdict,
        sentence=f"After {step} of {steps} steps, {said}.",
        measure=ground.measure,
        n_images=ground.n_images,
        step=step,
        steps=steps,
        before=ground.before,
        now=now,
        floors=dict(ground.floors),
        verdict_without_labels=verdict_of(ground.before, now, "retrieval"),
    )


def compared_with_end(word: EarlyWord, end: LookFigures, step: int) -> EarlyWord:
    """The word with the last look beside it: it was right if the rule says "go on" of both looks, or of neither; and a
    "stop" only if it says so at the end, too, or the measure did not clearly rise after it.
    """
    at_the_end = verdict_of(word.before, end, word.measure)
    held = (word.verdict == "go on") == (at_the_end == "go on")
    if word.verdict == "stop" and at_the_end != "stop":
        held = held and not rose(word.now, end, word.measure)
    then, last = getattr(word.now, word.measure), getattr(end, word.measure)
    if not healthy(end):
        found = "the features have collapsed, or are no numbers"
    else:
        gain, error = gain_of(word.before, end, word.measure)
        since = "" if then is None else f", {points(last - then)} since the early word"
        found = (
            f"{MEASURES[word.measure]} is {percent(last)}: {points(gain)} against before training (standard error "
            f"{100 * error:.1f}){since}"
        )
    sentence = f"At the last look, after step {step}, {found}. The early word was {'right' if held else 'wrong'}."
    return word.model_copy(update={"end_step": step, "end": end, "held": held, "end_sentence": sentence})


def rose(then: LookFigures, end: LookFigures, measure: Measure) -> bool:
    """Whether the measure rose between two looks by more than the noise of both gains over the start, taken for
    independent. They share the start, so that this is usually more than the noise of their difference.
    """
    since, error = gain_of(then, end, measure)
    _, earlier = gain_of(end, then, measure)
    return since > NOISE * math.hypot(error, earlier)


def healthy_words(ground: Ground, now: LookFigures, verdict: EarlyVerdict) -> str:
    """What was measured on healthy features and what that means, to the end of a sentence."""
    before, measure = ground.before, ground.measure
    gain, error = gain_of(before, now, measure)
    share = percent(getattr(now, measure))
    if measure == "knn":
        found = f"{share} of {ground.n_images} images are put into their class by kNN on the features"
        beside = [f"{FLOORS[name]}: {percent(value)}" for name, value in ground.floors.items()]
    else:
        found = f"a second view of an image is nearer to the first than {share} of {ground.n_images} images' are"
        beside = [
            f"{name.replace('_', ' ')} {number(getattr(before, name))} before, {number(getattr(now, name))} now"
            for name in ("alignment", "uniformity", "effective_rank")
        ]
    aside = "; ".join([f"standard error {100 * error:.1f}", *beside])
    compared = f"{points(gain)} against {percent(getattr(before, measure))} before training ({aside})"
    return f"{found}, {compared}: {meaning(ground, now, verdict)}"


def meaning(ground: Ground, now: LookFigures, verdict: EarlyVerdict) -> str:
    """What a verdict on healthy features means and what to try, to the end of a sentence."""
    labelled = ground.measure == "knn"
    at_what = "for these classes" if labelled else "at telling these images apart"
    other_start = "--start supervised" if ground.from_scratch else "the start as it is, without this pre-training"
    if verdict == "go on":
        limit = below_floors(ground, now) if labelled else ", as far as that can be said without labels"
        return f"the features are getting better {at_what}, so going on is worth it{limit}"
    if verdict == "stop":
        worse = f"the features are clearly worse {at_what} than before"
        return f"{worse}, so stop and try {MILDER}, a lower --optim.lr or {other_start}"
    if not labelled and (now.retrieval or 0) >= EASY_RETRIEVAL:
        return f"the views change so little that there is not much to learn from them, so try {STRONGER}"
    gain, error = gain_of(ground.before, now, ground.measure)
    if gain > NOISE * error:
        narrow = f"the features use less than {100 * RANK_SHARE:.0f} % of the dimensions they used"
        return f"but {narrow}, so nothing is gained so far; try {STEADIER}"
    why = f"that is within the noise (at most {NOISE:g} standard errors)"
    if gain < -NOISE * error:
        worse = "are worse for these classes so far" if labelled else "do not tell these images apart better yet"
        why = f"the features use more dimensions than before, but {worse}"
    return f"{why}, so nothing is gained so far; try more minutes, {MILDER} or {other_start}"


def unhealthy_words(now: LookFigures) -> str:
    """The same of features that have collapsed or are no numbers."""
    if now.feature_std is None or now.projection_std is None:
        return f"the features are no longer finite numbers, so stop and try {STEADIER}"
    return (
        f"all images look alike to the network (spread of the features {now.feature_std:.4f}, of the projections "
        f"{now.projection_std:.4f}; healthy is above {COLLAPSED_STD}), so stop and try {STEADIER}"
    )


def below_floors(ground: Ground, now: LookFigures) -> str:
    """A warning where the features, though better than before, are not yet better than no training at all."""
    above = [FLOORS[name] for name, value in ground.floors.items() if now.knn is not None and value > now.knn]
    return f", though they are not yet as good as {' or '.join(above)}" if above else ""


def percent(share: float | None) -> str:
    """0.481 -> 48.1 %."""
    return "-" if share is None else f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """0.069 -> +6.9 points."""
    return f"{100 * difference:+.1f} points"


def number(value: float | None) -> str:
    """Two digits behind the point."""
    return "-" if value is None else f"{value:.2f}"

"""Finds the augmented views of a cached partition: the caches beside it whose identity differs only in `augment`."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import MANIFEST, Identity, Plan, StoreError, read_manifest
from spoofcache.features.store import ShardReader


class CachedView(NamedTuple):
    """A view of a partition. `strength` is 0 for the clean view, else the position of its recipe, from 1 on."""

    data: CachedFeatures
    strength: int


@dataclass
class _Recipe:
    """An effect with a random seed, and the folder of each of its views by number."""

    effect: Mapping[str, Any]
    seed: int
    label: str
    folders: dict[int, Path] = field(default_factory=dict)


def open_views(clean: CachedFeatures, wanted: str | Sequence[int], effects: Sequence[str] = ()) -> list[CachedView]:
    """The views of a clean partition, by strength and number. Each has the same utterances in the same order.

    Args:
        clean: `<out>/<corpus>/<slug>/<partition>`; its views are in `<out>/<corpus>/*/<partition>`.
        wanted: numbers of views, where 0 is the clean partition itself. Any string selects all views.
        effects: the effects of the views, spelled as for preprocess.py, in order of their strength. The name of an
            effect suffices if only one recipe of that name is cached. The list may be empty if only one recipe is
            cached at all.

    Raises:
        StoreError: a view is missing or ambiguous, or omits other utterances; there is no such effect.
    """
    if clean.plan.identity.effect:
        raise StoreError(f"{clean.folder}: an augmented view; expected the clean cache, beside which views are found")
    views = [CachedView(clean, 0)] if isinstance(wanted, str) or 0 in wanted else []
    if {*wanted} == {0}:
        return views
    for strength, recipe in enumerate(_choose_recipes(clean, _find_recipes(clean), effects), 1):
        numbers = range(1, max(recipe.folders) + 1) if isinstance(wanted, str) else sorted({*wanted} - {0})
        views += [CachedView(_open_view(clean, recipe, number), strength) for number in numbers]
    return views


def _find_recipes(clean: CachedFeatures) -> list[_Recipe]:
    """All recipes that have a view of this partition, complete or not."""
    here, recipes = clean.folder.resolve(), dict[str, _Recipe]()
    for folder in sorted(here.parent.parent.glob(f"*/{here.name}")):
        with suppress(StoreError):  # an unreadable neighbour is not a view
            other = _plan_of(folder, clean.plan)
            if other.identity.effect and _is_same(other, clean.plan):
                _add(recipes, other.identity, folder)
    return list(recipes.values())


def _plan_of(folder: Path, clean: Plan) -> Plan:
    """The plan in the manifest; for an unfinished extraction, the clean plan, if a finished shard follows it."""
    shards = [] if (folder / MANIFEST).exists() else sorted(folder.glob("shard-*.h5"))
    if not shards:
        return read_manifest(folder)
    shard = ShardReader(shards[0])
    plan = replace(clean, identity=shard.identity)
    shard.require(plan, int(shard.header["shard_index"]))
    return plan


def _is_same(one: Plan, other: Plan) -> bool:
    """Whether two plans describe views of the same partition."""
    same_trials = one.trial_list_sha256 == other.trial_list_sha256
    same_name = (one.corpus, one.partition) == (other.corpus, other.partition)
    return same_trials and same_name and one.identity.clean == other.identity.clean


def _add(recipes: dict[str, _Recipe], identity: Identity, folder: Path) -> None:
    effect = dict(identity.settings["augment"])
    number, seed = effect.pop("view"), effect.pop("seed")
    recipe = recipes.setdefault(json.dumps([seed, effect], sort_keys=True), _Recipe(effect, seed, identity.effect))
    recipe.folders[number] = folder


def _choose_recipes(clean: CachedFeatures, found: Sequence[_Recipe], effects: Sequence[str]) -> list[_Recipe]:
    """One recipe for each requested effect; the only recipe if no effect is requested."""
    if effects:
        chosen = [_require_single_recipe(clean, _recipes_with_effect(found, effect), effect) for effect in effects]
        if len({id(recipe) for recipe in chosen}) < len(chosen):
            raise StoreError(f"train.augment: two of {', '.join(effects)} are the same views; expected each once")
        return chosen
    return [_require_single_recipe(clean, found, "")]


def _recipes_with_effect(found: Sequence[_Recipe], effect: str) -> list[_Recipe]:
    named = [recipe for recipe in found if recipe.effect["name"] == effect]
    if len(named) == 1:
        return named
    # imported here, since it imports audio decoders, which training does not need
    from spoofcache.features.augment import EffectError, parse_effect

    try:
        settings = json.dumps(parse_effect(effect).settings(), sort_keys=True)
    except EffectError as error:
        raise StoreError(f"train.augment: {error}") from error
    return [recipe for recipe in found if json.dumps(recipe.effect, sort_keys=True) == settings]


def _require_single_recipe(clean: CachedFeatures, recipes: Sequence[_Recipe], effect: str) -> _Recipe:
    if not recipes:
        kind = f"{effect} views" if effect else "augmented views"
        command = f"preprocess.py … --augment {effect or 'rawboost:5'} --views 4"
        raise StoreError(f"{clean.folder}: there are no {kind} beside it; expected those that `{command}` makes")
    if len(recipes) > 1:
        listed = " and ".join(f"{recipe.label} with seed {recipe.seed}" for recipe in recipes)
        raise StoreError(
            f"{clean.folder}: there are views of {listed} beside it; expected train.augment to name one of them"
        )
    return recipes[0]


def _open_view(clean: CachedFeatures, recipe: _Recipe, number: int) -> CachedFeatures:
    if number not in recipe.folders:
        raise StoreError(
            f"{clean.folder}: there is no view {number} of {recipe.label} beside it; expected the one that "
            f"preprocess.py makes with that --augment, --views {number} and --seed {recipe.seed}"
        )
    data = CachedFeatures(recipe.folders[number])
    if data.trials != clean.trials:
        raise StoreError(
            f"{data.folder}: its utterances are not those of {clean.folder}; expected both to omit the same utterances"
        )
    return data

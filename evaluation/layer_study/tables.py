"""A layer study as text for a terminal and as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from spoofcache.evaluation.figures import Figure
from spoofcache.evaluation.grids import Grid, Row, cell_of
from spoofcache.evaluation.layer_study.recommendation import Recommendation
from spoofcache.evaluation.layer_study.study import LayerStudy
from spoofcache.evaluation.matrix import heat
from spoofcache.evaluation.tables import as_record as comparison_record
from spoofcache.evaluation.tables import grids_as_text


def grids_of(study: LayerStudy) -> list[Grid]:
    """The tables of a study: the layers by their rank, the combinations, and with held-out attacks a table for them."""
    layers = {layer: [study.figure(layer, name) for name in study.sets] for layer in study.ranking}
    combined = {one.name: [one.figures[name] for name in study.sets] for one in study.combinations}
    grids = [
        _grid("EER (%) by layer, the lowest on dev first", "layer", study.sets, layers),
        _grid("EER (%) of the best combinations", "layers", study.sets, combined),
    ]
    if study.held_out:
        unseen = {layer: [study.held_out[name][layer].mean for name in study.sets] for layer in study.ranking}
        unseen = dict(sorted(unseen.items(), key=lambda row: _known(row[1][0])))
        grids.append(_grid("EER (%) on unseen attacks, mean over attacks", "layer", study.sets, unseen))
    return grids


def _known(figure: Figure) -> float:
    return 1.0 if figure.value is None else figure.value


def _grid(title: str, corner: str, sets: list[str], rows: dict[str, list[Figure]]) -> Grid:
    cells = {
        name: [cell_of(figure, "eer")._replace(heat=heat(figure, "eer")) for figure in figures]
        for name, figures in rows.items()
    }
    return Grid(title, corner, (), sets, [Row(name, (), of_row) for name, of_row in cells.items()])


def notes_of(study: LayerStudy) -> Iterator[str]:
    """Sentences on how the figures were made, and on what they mean."""
    how = f"over groups of {study.folds_by}s" if study.folds_by else "over utterances (no groups are known)"
    yield (
        "Each figure is that of a logistic regression on statistics over time of the layer, standardised on train; its "
        f"regularisation was chosen on train by cross-validation {how}."
    )
    dev, tests = study.sets[0], study.sets[1:]
    others = f"; those on {', '.join(tests)} are not" if tests else ""
    yield f"Layers were ranked and combined by their EER on {dev}, so that the figures there are optimistic{others}."
    if study.held_out:
        yield (
            "Unseen attacks: each attack is judged by a probe that was fitted without it (at the regularisation of the "
            "layer), against all bona fide utterances; every attack counts once. The mean predicts the EER on attacks "
            "that no training set has."
        )
    alone = study.combinations[0]
    better = [one for one in study.combinations[1:] if _known(one.figures[dev]) < _known(alone.figures[dev])]
    if len(study.combinations) > 1 and not better:
        yield f"No combination is better on {dev} than layer {alone.name} alone."
    yield from dict.fromkeys(note for one in study.comparisons for note in one.notes)


def warnings_of(study: LayerStudy) -> list[str]:
    """The warnings of all sets, each beginning with the name of its set."""
    return [
        f"{one.test_set}: {warning.removeprefix(f'{one.test_set}: ')}"
        for one in study.comparisons
        for warning in one.warnings
    ]


def as_text(study: LayerStudy, recommendations: Sequence[Recommendation]) -> str:
    """Format the study as aligned plain text, with the commands that it recommends last."""
    tables = grids_as_text(grids_of(study), list(notes_of(study)), warnings_of(study))
    return "\n\n".join([tables, *map(_recommended, recommendations)])


def _recommended(one: Recommendation) -> str:
    return "\n".join([f"{one.title} ({one.cost})", *(f"  {command}" for command in one.commands), *one.cost.remarks])


def as_record(study: LayerStudy, recommendations: Sequence[Recommendation]) -> dict[str, Any]:
    """The study in plain names and types for JSON, with rates as fractions."""
    return {
        "layers": list(study.layers),
        "ranking": list(study.ranking),
        "c": dict(study.c),
        "folds_by": study.folds_by or None,
        "dev": study.sets[0],
        "test_sets": [comparison_record(one) for one in study.comparisons],
        "held_out": {
            name: {layer: asdict(of_layer) for layer, of_layer in layers.items()}
            for name, layers in study.held_out.items()
        },
        "recommendations": [_recommendation_record(one) for one in recommendations],
        "notes": list(notes_of(study)),
        "warnings": warnings_of(study),
    }


def _recommendation_record(one: Recommendation) -> dict[str, Any]:
    figures = {name: asdict(figure) for name, figure in one.combination.figures.items()}
    blocks_run, depth = one.cost.blocks or (None, None)
    return {
        "layers": list(one.combination.layers),
        "c": one.combination.c,
        "eer": figures,
        "commands": list(one.commands),
        "bytes": one.cost.n_bytes,
        "seconds": one.cost.seconds,
        "device": one.cost.device,
        "blocks_run": blocks_run,
        "blocks": depth,
        "remarks": list(one.cost.remarks),
    }

"""The model card of a published run: metadata for the hub, and a text that is filled in from the run itself."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import spoofcache
from spoofcache.engine.about import About
from spoofcache.evaluation.figures import Figure
from spoofcache.evaluation.grids import UNDEFINED, cell_of, printable, title_of
from spoofcache.evaluation.measures import MEASURES
from spoofcache.features.frontends.hub import HUB_NAMES
from spoofcache.features.plan import Identity
from spoofcache.metrics.decision import Decision
from spoofcache.tools.publishing.results import Judged

ON_HUB = re.compile(r"[\w.-]+/[\w.-]+")
PIPELINE = "audio-classification"
TAGS = ["anti-spoofing", "audio-deepfake-detection", "speech"]


@dataclass(frozen=True)
class Published:
    """Everything that the card states.

    Attributes:
        repository: `owner/name` on the hub.
        about: the description of the best weights.
        n_parameters: number of parameters of the network that are published.
        decision: threshold and calibration of the best weights; None if the run has none.
        judged: figures on test sets; empty if there are none.
        licence: identifier of the licence in the hub's list, such as `mit`; None if the user stated none.
    """

    repository: str
    about: About
    n_parameters: int
    decision: Decision | None = None
    judged: Sequence[Judged] = ()
    licence: str | None = None


def base_model(about: About) -> str | None:
    """The speech model of a run, as `owner/name` of the hub; None if it has none, or one that is not on the hub."""
    encoder = about.encoder
    front_end = Identity(about.identity).settings.get("front_end", {})
    name = encoder.name if encoder and encoder.name else str(front_end.get("name", ""))
    return HUB_NAMES.get(name, name if ON_HUB.fullmatch(name) else None)


def model_card(run: Published) -> str:
    """The text of `README.md`: metadata in YAML, which the hub indexes, then sections in Markdown."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=PIPELINE,
            dataset_type=re.sub(r"[^\w.-]+", "-", one.test_set),
            dataset_name=one.test_set,
            metric_type=measure,
            metric_name=MEASURES[measure].title + (" (as a fraction)" if MEASURES[measure].percent else ""),
            metric_value=figure.value,
        )
        for one in run.judged
        for measure, figure in one.figures.items()
        if figure.value is not None
    ]
    data = ModelCardData(
        license=run.licence,
        library_name="spoofcache",
        pipeline_tag=PIPELINE,
        base_model=base_model(run.about),
        tags=TAGS,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=run.repository.rpartition("/")[2],
        eval_results=results or None,
    )
    sections = (_head(run), _use(run), _training(run), _verdicts(run), _measured(run), _limits(run), _files(run))
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"


def _head(run: Published) -> str:
    return (
        f"# {run.repository.rpartition('/')[2]}\n\n"
        "A countermeasure against spoofed speech: it gives a recording a score, and a higher score means more likely "
        f"bona fide. It was published with SpoofCache {spoofcache.__version__}."
    )


def _use(run: Published) -> str:
    place = f"hf://{run.repository}"
    return f"""## How to use it

With SpoofCache installed, the name of this repository stands for a run folder in every command that reads one:

```
spoofcache detect --run {place} recording.wav
spoofcache score --run {place} --features cache/corpus/features/eval --out scores.txt
```

In Python:

```python
import spoofcache

run = spoofcache.load_run("{place}")
print(run.score_file("recording.wav").score)
```"""


def _training(run: Published) -> str:
    about = run.about
    loss, partitions = f"`{about.loss}`", ", ".join(f"`{name}`" for name in about.trained_on)
    lines = [
        f"Training partitions: {partitions or 'not recorded'}"
        + (". A `+` is followed by the augmentation." if any("+" in name for name in about.trained_on) else "."),
        f"Network: back-end `{about.backend}` with the loss {loss}; {run.n_parameters:,} published parameters.",
        f"Features: {_features(about)}.",
    ]
    if about.encoder:
        lines.append(_fine_tuned(about))
    if about.epoch is not None and about.dev_eer is not None:
        lines.append(
            f"Selection: epoch {about.epoch + 1}, the best one on the dev set, with an EER of {about.dev_eer:.3%}. "
            "Since it was selected there, that figure is not a result."
        )
    if about.epoch is None:
        lines.append("The weights were trained elsewhere and imported into SpoofCache.")
    return "## What it was trained on\n\n" + "\n".join(f"* {line}" for line in lines)


def _features(about: About) -> str:
    identity = Identity(about.identity).settings
    front_end = identity.get("front_end", {})
    words = [f"`{front_end.get('name', 'unknown')}`"]
    if front_end.get("layers"):
        words.append(f"layers {', '.join(map(str, front_end['layers']))}")
    if identity.get("n_samples") and identity.get("sample_rate"):
        seconds = identity["n_samples"] / identity["sample_rate"]
        words.append(f"windows of {seconds:.3g} s at {identity['sample_rate'] / 1000:g} kHz")
    words.append(f"stored as {identity.get('dtype', 'unknown')}; `model.json` holds every setting")
    return ", ".join(words)


def _fine_tuned(about: About) -> str:
    encoder = about.encoder
    assert encoder is not None
    what = "its LoRA matrices" if encoder.mode == "lora" else "the trained blocks"
    whole = "all of the speech model" if encoder.takes_waveforms else f"the blocks above number {encoder.n_frozen}"
    return f"Fine-tuned: {whole}, in the mode `{encoder.mode}`; `model.safetensors` contains {what}."


def _verdicts(run: Published) -> str:
    title = "## Threshold and calibration\n\n"
    if run.decision is None:
        return title + "None is published. The scores rank recordings, and do not say where bona fide begins."
    return title + (
        f"`detect` calls a recording bona fide from a score of {run.decision.threshold:.7g} on: {run.decision.origin}. "
        "The same trials were used to fit the calibrated log-likelihood ratios. Both hold for recordings like those, "
        "and can be far off elsewhere."
    )


def _measured(run: Published) -> str:
    title = "## Measured\n\n"
    if not run.judged:
        return title + "No result on a test set is published with this run."
    remarks = [f"* {printable(warning)}" for one in run.judged for warning in one.named_warnings]
    parts = ["\n".join(results_table(run.judged))]
    if any(figure.low is not None for one in run.judged for figure in one.figures.values()):
        parts.append("In brackets: the confidence interval that `evaluate.py` computed by a bootstrap of the trials.")
    if remarks:
        parts.append("Warnings of the evaluation:\n\n" + "\n".join(remarks))
    return title + "\n\n".join(parts)


def results_table(judged: Sequence[Judged]) -> Iterator[str]:
    """The lines of a Markdown table of test sets × measures, formatted as in the tables of evaluate.py."""
    measures = [name for name in MEASURES if any(name in one.figures for one in judged)]
    yield _line(["Test set", "bona fide", "spoof", *map(title_of, measures)])
    yield _line(["---", *["--:"] * (2 + len(measures))])
    for one in judged:
        cells = [_cell(one.figures.get(measure), measure) for measure in measures]
        yield _line([one.test_set, f"{one.n_bonafide:,}", f"{one.n_spoof:,}", *cells])


def _cell(figure: Figure | None, measure: str) -> str:
    if figure is None or figure.value is None or not math.isfinite(figure.value):
        return UNDEFINED
    cell = cell_of(figure, measure)
    return f"{cell.value} {cell.interval}".strip()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(printable(cell).replace("|", "\\|") for cell in cells) + " |"


def _limits(run: Published) -> str:
    sets = ", ".join(one.test_set for one in run.judged)
    lines = [
        "Countermeasures often fail on attacks, codecs, languages and microphones that their training data lacked. "
        + (
            f"Nothing is known beyond {sets}." if sets else "Nothing is known about this one, since no result is given."
        ),
        "A recording that is longer than the window is judged by its beginning, unless `detect --windows` is given.",
        "A verdict is a statistical statement, and no proof that a recording is genuine or fake.",
    ]
    encoder, speech_model = run.about.encoder, base_model(run.about)
    if encoder and encoder.mode == "lora" and not speech_model:
        lines.append("The speech model is not in this repository; its folder must be given with `--weights`.")
    elif speech_model and not (encoder and encoder.takes_waveforms and encoder.mode == "full"):
        lines.append(f"The speech model {speech_model} is not in this repository, and is downloaded when it is needed.")
    if run.about.plugins:
        lines.append(f"It needs code that is not in this repository: {', '.join(run.about.plugins)}.")
    return "## Limits\n\n" + "\n".join(f"* {line}" for line in lines)


def _files(run: Published) -> str:
    licence = f"Licence: {run.licence}." if run.licence else "The publisher stated no licence."
    return (
        "## Files and licence\n\n"
        "`model.safetensors` holds the weights, `model.json` their description with the identity of the features, "
        "`config.toml` the settings of the training, and `calibration.json`, if there is one, the calibration."
        f" No file contains code. {licence}"
    )

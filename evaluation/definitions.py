"""Definitions of the measures for readers of a report."""

from collections.abc import Mapping

DEFINITIONS: Mapping[str, str] = {
    "eer": "Equal error rate: the mean of the shares of bona fide trials rejected and of spoof trials accepted, at the "
    "threshold where they are nearest. Equal scores count against the system, as in the ASVspoof evaluation code.",
    "hter": "Half total error rate: the mean of the shares of bona fide trials called spoof and of spoof trials called "
    "bona fide, at the threshold that the run knows from its own dev set. This is what a deployed system would do.",
    "min_tdcf_2019": "Smallest normalised tandem detection cost over all thresholds, with the costs of the ASVspoof "
    "2019 evaluation plan (Kinnunen et al., Odyssey 2018). 1 is no better than accepting or rejecting every trial.",
    "min_tdcf_2021": "Smallest tandem detection cost as revised for ASVspoof 2021 (Kinnunen et al., IEEE/ACM TASLP "
    "2020), which counts the ASV system's own errors too: not comparable with the form of 2019.",
    "t_eer": "Concurrent tandem equal error rate (Kinnunen et al., IEEE TPAMI 2023): with the thresholds of both "
    "systems free, the rate at which nontarget and spoof trials are accepted as often as target trials are rejected.",
    "min_dcf": "Smallest normalised detection cost over all thresholds, with the costs of ASVspoof 5 (a spoof in "
    "twenty trials, its acceptance ten times as bad as a rejected bona fide).",
    "act_dcf": "The detection cost of ASVspoof 5 at the threshold that is right for log-likelihood ratios.",
    "cllr": "Cost of log-likelihood ratios (Brümmer and du Preez, Computer Speech & Language 2006), in bits: 0 is "
    "perfect, and 1 is what scores without any information cost.",
    "min_cllr": "Cllr after the best non-decreasing mapping of the scores (isotonic regression on these trials): its "
    "value if calibration were perfect.",
    "run_act_dcf": "The actual detection cost of ASVspoof 5 of the log-likelihood ratios that the calibration of the "
    "run makes of its scores.",
    "run_cllr": "Cllr, in bits, of the log-likelihood ratios that the run's own calibration makes of its scores. Above "
    "1, they mislead.",
    "a_dcf": "Architecture-agnostic detection cost (Shim et al., Odyssey 2024): the smallest normalised cost of one "
    "score for speaker and spoofing together. 1 is no better than accepting or rejecting every trial.",
}
"""The definition of each of MEASURES."""

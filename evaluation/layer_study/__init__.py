"""The layer study: logistic regressions show which hidden states of a speech model separate bona fide from spoof."""

"""The layer study: which hidden state of a speech model tells bona fide from spoof, judged by logistic regressions."""

"""From a folder of human speech to a small corpus in the layout of ASVspoof 2019, in the order of the files:

recordings.py  which files are speech, and whose
plan.py        which recording becomes what, in which partition
finish.py      the last step of every utterance, after which level, silence and codec tell nothing of its class
asv.py         a plain speaker verification system, for the t-DCF
layout.py      the files of the corpus
build.py       all of the above, in order
parallel.py    work spread over processes
builtin_voice.py  artificial speakers, for machines on which no speech is available
"""

FIRST_FOLDER = "^([^/]+)/"
"""Regular expression that finds the first folder of a path."""

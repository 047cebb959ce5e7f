"""Make a small corpus in the layout of ASVspoof 2019 from a folder of human speech. The modules, in order of use:

recordings.py  finds the recordings that are usable speech, and their speakers
plan.py        decides what each recording is used for, and in which partition
finish.py      the last step of every utterance, so that level, silence and codec do not reveal its class
asv.py         a simple speaker verification system for the t-DCF
layout.py      writes the files of the corpus
build.py       runs all of these in order
parallel.py    distributes work over processes
builtin_voice.py  artificial speakers for machines on which no speech is available
"""

FIRST_FOLDER = "^([^/]+)/"
"""Regular expression whose group is the first folder of a path."""

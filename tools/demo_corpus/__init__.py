"""From a folder of human speech to a small corpus in ASVspoof 2019 layout, in the order of the files:

recordings.py  which files are speech, and whose
plan.py        which recording becomes what, in which partition
finish.py      what every utterance goes through last, so that level, silence and codec tell nothing
asv.py         a plain speaker verification system, for the t-DCF
layout.py      the files of the corpus
parallel.py    the work, spread over processes
builtin_voice.py  artificial speakers, where no speech can be had
"""

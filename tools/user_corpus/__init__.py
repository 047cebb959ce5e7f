"""Survey a user's data set and split it into partitions. The modules, in the order in which data pass through them:

audio.py    measures every audio file: duration, silence, level, format
leaks.py    finds properties that tell the classes apart although they have nothing to do with spoofing
survey.py   collects the measurements and the columns of the table, class by class
table.py    writes the survey as text and as JSON
picture.py  draws the survey
split.py    assigns files to train, dev and test so that no group is in two of them
"""

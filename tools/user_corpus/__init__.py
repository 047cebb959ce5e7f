"""From a user's data set to a survey of it and to protocols, in the order of the files:

audio.py    what each file sounds like, in a few numbers
leaks.py    what tells the classes apart without any spoofing being heard
survey.py   all of it side by side, class by class
table.py    the same as text and as JSON
picture.py  the same as a picture
split.py    train, dev and test, with no group in two of them
"""

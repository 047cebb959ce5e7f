"""Reading one audio file: which format it is, how long it says it is, and the two decoders.

`read.read_audio` is the entry point. `kinds` tells a format by its first bytes; `chunks`, `flac`, `ogg`, `matroska` and
`frames` hold a file to the lengths and checksums that its container states; `first` decodes with libsndfile in this
process; `isolated` has `second` decode with FFmpeg in a child process, which a damaged file may crash.
"""

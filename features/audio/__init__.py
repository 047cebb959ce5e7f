"""Read one audio file: recognise its format, check the lengths that it states, and decode it with one of two decoders.

`read.read_audio` is the entry point. `kinds` recognises a format by its first bytes. `chunks`, `flac`, `ogg`,
`matroska` and `frames` compare a file with the lengths and checksums that its container states. `first` decodes with
libsndfile, `second` with FFmpeg. `isolated` runs both in child processes (`serve`), which a damaged file may crash.
"""

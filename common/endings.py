"""The endings of file names by which audio files are recognised."""

AUDIO_ENDINGS = (
    *(".flac", ".wav", ".mp3", ".m4a", ".mp4", ".aac", ".ogg", ".opus", ".webm", ".g722", ".aiff", ".aif"),
    *(".aifc", ".wave", ".bwf", ".rf64", ".w64", ".au", ".snd", ".sph", ".nist", ".caf", ".oga", ".spx", ".mp2"),
    *(".m4b", ".mov", ".3gp", ".mka", ".mkv", ".weba", ".wma", ".asf", ".avi", ".flv", ".amr", ".ac3", ".eac3"),
    *(".wv", ".tta", ".ape", ".voc"),
)
"""Endings of the formats that the two decoders read, in order of preference. All parts of SpoofCache use this list."""

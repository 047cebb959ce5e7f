"""The endings of names by which audio files are told from what lies beside them."""

AUDIO_ENDINGS = (
    *(".flac", ".wav", ".mp3", ".m4a", ".mp4", ".aac", ".ogg", ".opus", ".webm", ".g722", ".aiff", ".aif"),
    *(".aifc", ".wave", ".bwf", ".rf64", ".w64", ".au", ".snd", ".sph", ".nist", ".caf", ".oga", ".spx", ".mp2"),
    *(".m4b", ".mov", ".3gp", ".mka", ".mkv", ".weba", ".wma", ".asf", ".avi", ".flv", ".amr", ".ac3", ".eac3"),
    *(".wv", ".tta", ".ape", ".voc"),
)
"""Those of the formats that the two decoders read, the preferred first. Every part of SpoofCache goes by this list."""

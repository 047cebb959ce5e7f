"""Arrays in, named numbers out. Only `score_files` and `written_scores` know files."""

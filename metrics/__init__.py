"""Arrays in, named numbers out: only `scores` touches files, only `report` draws."""

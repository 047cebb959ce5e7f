"""Tables of text that people exchange: how their cells are separated, and what their columns mean, by content."""

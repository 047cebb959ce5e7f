"""The parts of probe_layers.py around a layer study: extracting the statistics, and estimating the recommendations."""

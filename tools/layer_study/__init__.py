"""What probe_layers.py does around a layer study: it extracts the statistics, and estimates what it recommends."""

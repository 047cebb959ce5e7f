"""Audio → cached tensor: waveform, front-end, HDF5 shards, dataset."""

"""What `tools/publish.py` does: the folder of a published run, and its model card."""

"""What the server process of tests/commands.py imports once: the libraries that take seconds."""

import h5py  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import sklearn.linear_model  # noqa: F401
import soundfile  # noqa: F401
import torch._dynamo  # every optimizer imports it
import torch.utils.tensorboard  # noqa: F401
import transformers  # noqa: F401

from spoofcache import detect, generate_score, main_train, preprocess  # noqa: F401

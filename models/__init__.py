"""BACKENDS: each registry name and the back-end it stands for.

A back-end is built from the shape of one utterance's cached features and from its own settings.
"""

from collections.abc import Mapping

from torch import nn

from spoofcache.models.aasist import AASIST, AASISTL
from spoofcache.models.checks import hold_to_shape
from spoofcache.models.cnn import CNN
from spoofcache.models.conformer_tcm import ConformerTCM
from spoofcache.models.ecapa import ECAPATDNN
from spoofcache.models.ecapa_w2v import ECAPAW2V
from spoofcache.models.enhanced_aasist import EnhancedAASIST
from spoofcache.models.layerwise import LayerwiseAASIST, LayerwiseFFN
from spoofcache.models.lcnn import LCNN
from spoofcache.models.lcnn_lstm import LCNNLSTM
from spoofcache.models.lcnn_transformer import LCNNTransformer
from spoofcache.models.light_darts import LightDARTS
from spoofcache.models.mhfa import MHFA
from spoofcache.models.nes2net import Nes2Net, Nes2NetX
from spoofcache.models.pooled_linear import PooledLinear
from spoofcache.models.rawnet2 import RawNet2
from spoofcache.models.res2net import SERes2Net
from spoofcache.models.resnet import ResNet
from spoofcache.models.sls import SLS
from spoofcache.models.ssl_aasist import SSLAASIST
from spoofcache.models.w2v_aasist import W2VAASIST

BACKENDS: Mapping[str, type[nn.Module]] = {
    "lcnn": LCNN,
    "aasist": AASIST,
    "aasist_l": AASISTL,
    "ssl_aasist": SSLAASIST,
    "w2v_aasist": W2VAASIST,
    "enhanced_aasist": EnhancedAASIST,
    "layerwise_ffn": LayerwiseFFN,
    "layerwise_aasist": LayerwiseAASIST,
    "nes2net_x": Nes2NetX,
    "nes2net": Nes2Net,
    "sls": SLS,
    "conformer_tcm": ConformerTCM,
    "mhfa": MHFA,
    "pooled_linear": PooledLinear,
    "lcnn_lstm": LCNNLSTM,
    "rawnet2": RawNet2,
    "ecapa_tdnn": ECAPATDNN,
    "res2net": SERes2Net,
    "ecapa_w2v": ECAPAW2V,
    "lcnn_transformer": LCNNTransformer,
    "resnet": ResNet,
    "cnn": CNN,
    "light_darts": LightDARTS,
}

for _backend in BACKENDS.values():
    hold_to_shape(_backend)

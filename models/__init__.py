"""BACKENDS: registry name → back-end, built from the shape of the cached features and its own settings."""

from collections.abc import Callable, Mapping

from torch import nn

from models.aasist import AASIST, AASISTL
from models.cnn import CNN
from models.ecapa import ECAPATDNN
from models.ecapa_w2v import ECAPAW2V
from models.enhanced_aasist import EnhancedAASIST
from models.layerwise import LayerwiseAASIST, LayerwiseFFN
from models.lcnn import LCNN
from models.lcnn_lstm import LCNNLSTM
from models.lcnn_transformer import LCNNTransformer
from models.light_darts import LightDARTS
from models.nes2net import Nes2Net, Nes2NetX
from models.pooled_linear import PooledLinear
from models.rawnet2 import RawNet2
from models.res2net import SERes2Net
from models.resnet import ResNet
from models.sls import SLS
from models.ssl_aasist import SSLAASIST
from models.w2v_aasist import W2VAASIST

BACKENDS: Mapping[str, Callable[..., nn.Module]] = {
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

# The public names, each written once: what a type checker reads, and `__init__.py` imports on first use.

from bnstudy import doctor as doctor
from bnstudy import probes as probes
from bnstudy.chapters import load as load
from bnstudy.chapters import run_study as run_study
from bnstudy.norm import BatchNorm as BatchNorm
from bnstudy.norm import ExponentialMovingAverage as ExponentialMovingAverage
from bnstudy.norm import L1Regularizer as L1Regularizer
from bnstudy.norm import L2Regularizer as L2Regularizer
from bnstudy.norm import StatisticsBank as StatisticsBank
from bnstudy.norm import apply_updates as apply_updates
from bnstudy.norm import batch_normalization as batch_normalization
from bnstudy.norm import convert as convert
from bnstudy.norm import decay_from_momentum as decay_from_momentum
from bnstudy.norm import from_torch as from_torch
from bnstudy.norm import moments as moments
from bnstudy.norm import momentum_from_decay as momentum_from_decay
from bnstudy.norm import recalibrate as recalibrate
from bnstudy.norm import to_torch as to_torch
from bnstudy.norm import update_pass as update_pass
from bnstudy.norm import weighted_moments as weighted_moments
from bnstudy.records.spec import RunSpec as RunSpec
from bnstudy.train import networks as networks
from bnstudy.train.data import Dataset as Dataset
from bnstudy.train.data import load_dataset as load_dataset
from bnstudy.train.fleet import train_fleet as train_fleet
from bnstudy.train.fleet import train_run as train_run
from bnstudy.train.network import ArticleNet as ArticleNet

__version__: str

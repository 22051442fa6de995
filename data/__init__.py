"""Data: loading, splitting, scaling, and small real data sets that ship with xpnet."""

from xpnet.data import datasets
from xpnet.data.archive import load_npz
from xpnet.data.dataset import Dataset
from xpnet.data.datasets import DATASETS
from xpnet.data.idx import load_idx, load_images, load_mnist
from xpnet.data.loaders import load_data
from xpnet.data.scaling import SCALERS, MinMaxScaler, Scaler, Standardizer
from xpnet.data.split import split, split_indices
from xpnet.data.table import load_csv

__all__ = [
    "DATASETS",
    "SCALERS",
    "Dataset",
    "MinMaxScaler",
    "Scaler",
    "Standardizer",
    "datasets",
    "load_csv",
    "load_data",
    "load_idx",
    "load_images",
    "load_mnist",
    "load_npz",
    "split",
    "split_indices",
]

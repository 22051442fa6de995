"""The update rules of xpnet, a line for each: `SGD` is also called "sgd".

Public names, names of rules, files, the command line and tests go by this list.
"""

# ruff: noqa: I001  # in the order in which messages and tests name them
from xpnet.optim.rules import SGD as SGD
from xpnet.optim.adaptive import Adagrad as Adagrad
from xpnet.optim.adaptive import Adadelta as Adadelta
from xpnet.optim.adaptive import RMSprop as RMSprop
from xpnet.optim.rules import Adam as Adam
from xpnet.optim.rules import AMSGrad as AMSGrad
from xpnet.optim.rules import AdamW as AdamW
from xpnet.optim.adam_variants import Adamax as Adamax
from xpnet.optim.adam_variants import Nadam as Nadam
from xpnet.optim.adam_variants import RAdam as RAdam
from xpnet.optim.lion import Lion as Lion

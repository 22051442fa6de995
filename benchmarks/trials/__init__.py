"""Hostile trials: threads, kills, flipped bits, wrong calls; faults are counted.

python -m xpnet.benchmarks.trials                  # all of them, an hour or two
python -m xpnet.benchmarks.trials predict --json FILE
python -m xpnet.benchmarks.trials --scale 0.1      # a tenth of the tries
"""

"""The recipe that makes the embedded model: `python -m training.train --data DIR --out DIR`."""

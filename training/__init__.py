"""The training recipe of the embedded model: `python -m training.train --data DIR --out DIR`."""

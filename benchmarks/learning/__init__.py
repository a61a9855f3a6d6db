"""The bench of learning quality: what pre-training is worth, by data set, recipe and minutes.

python -m benchmarks.learning run --out DIR       pre-train, judge, write DIR/learning.json
python -m benchmarks.learning why --out DIR       the report's recipe with one change at a time, DIR/why.json
python -m benchmarks.learning levers --out DIR    the recipe default with one change at a time, DIR/levers.json
python -m benchmarks.learning table DIR...        put the tables of all three into docs/
python -m benchmarks.learning data NAME...        only build data sets

The bench trains nothing by itself, lightly's loop (``lightly_byol.py``) aside: it calls ``headstart.pretrain`` and
``headstart.study``, so that statistics, paired intervals and the choice of learning rates are the product's.
"""

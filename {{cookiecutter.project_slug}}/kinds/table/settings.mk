# Share of the rows that are held out to test the model.
TEST_SHARE ?= 0.25
# Rows to train on, about: of a longer table, one in two, in three, … is taken. A million need about 1 GB of memory.
MAX_ROWS ?= 1000000
# Seconds for the search of hyperparameters. The first fit of each estimator and the final fit come on top.
BUDGET ?= 120
# Minimum of a metric on the held-out rows; a model below one of these is not exported. build/report.html lists
# the metrics. skill is the share by which the model reduces the loss of a prediction without features.

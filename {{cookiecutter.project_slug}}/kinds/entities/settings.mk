# Share of the texts that are held out to test the model.
TEST_SHARE ?= 0.25
# Texts to train on, about: of more of them, one in two, in three, … is taken.
MAX_ROWS ?= 1000000
# Seconds for training, after which the best model until then is taken. It ends sooner if the model gets no better.
BUDGET ?= 120
# Minimum of a metric on the held-out texts; a model below one of these is not exported. build/report.html lists
# the metrics. f1 is by entity, with the exact span and label; skill is the share by which the model reduces the
# mistakes of a dictionary of the training entities.

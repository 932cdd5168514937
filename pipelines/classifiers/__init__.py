"""fastText classifiers: training, metrics and scoring."""

"""Names of the files of the own law's artifacts."""

POINTS, LAW, PREDICTION, RUNS = "points.json", "law.json", "prediction.json", "runs.json"

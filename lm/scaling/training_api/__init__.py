"""Training API: hyperparameters in, the loss of a real training out, under a budget of FLOPs.

request    the hyperparameters, and the training that follows from them
queue      requests, states and charges in SQLite
worker     the process that trains, one request after the other
service    HTTP over the queue (FastAPI, an extra)
client     the same calls in Python, over HTTP or over a queue of one's own
"""

"""Training: pre-tokens are counted, then merges are learned from the counts.

train       `train_bpe`
count       the hash table of distinct pre-tokens and their counts
learn       the merge loop
pairs       the counts and positions of neighbouring token pairs
pair_heap   the priority queue of pairs
"""

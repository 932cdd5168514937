"""Benchmarks, one subject a file: `python -m benchmarks.SUBJECT [--json FILE] [--check]`, or `python -m benchmarks`.

demo_crawl    pages of the built-in crawl a second
demo          the whole chain: seconds, peak memory and learning, for several seeds
language      offline language identifiers: accuracy, speed and size
heuristics    heuristic rules beside those of datatrove: verdicts that agree, and why others do not
gpu           everything that needs a GPU, within minutes; `--dry-run` at a toy size on a CPU
kernels       Triton kernels beside PyTorch's: bandwidth, products, registers, spills
attention     FlashAttention beside PyTorch's, by context, head and type
precision     types under autocast, and ways of adding 1,000 times .01
parallel      all-reduce, strategies of data parallelism and the optimizer's state over ranks of this machine
many_ranks    jobs of `torchrun` beside one process: the weights, also after a rank was killed
memory        a training step's memory by recomputation, beside the accountant's prediction
harmful       the toxic classifier on held-out tweets
"""

"""Benchmarks, one subject a file: `python -m benchmarks.SUBJECT [--json FILE] [--check]`, or `python -m benchmarks`.

demo_crawl    generated pages of the built-in crawl per second
demo          the whole chain: seconds, peak memory and learning, for several seeds
language      offline language identifiers: accuracy, speed and size
heuristics    heuristic rules against datatrove's: agreement, and reasons of disagreement
gpu           everything that needs a GPU, within minutes; `--dry-run` at a toy size on a CPU
kernels       Triton kernels against PyTorch's: bandwidth, matrix multiplications, registers, spills
attention     FlashAttention against PyTorch's, by context, head and type
precision     types under autocast, and ways of adding 1,000 times .01
parallel      all-reduce, data-parallel strategies and the optimizer's state over the ranks of this machine
many_ranks    jobs of `torchrun` against one process: the weights, also after a killed rank
memory        memory of a training step by recomputation, against the predicted memory
harmful       the toxic classifier on held-out tweets
"""

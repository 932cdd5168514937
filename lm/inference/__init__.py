"""Text from a model: the KV cache, sampling, batched generation, and a chat on the command line.

`generate` continues many prompts at once and is what evaluation and reinforcement learning call; `stream` continues
one, token by token.
"""

from lm.inference.engine import Completion, GenerationConfig, generate, stream
from lm.inference.kv_cache import KVCache
from lm.inference.sampling import sample

__all__ = ["Completion", "GenerationConfig", "KVCache", "generate", "sample", "stream"]

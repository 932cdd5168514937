"""Alignment of a pre-trained model: SFT, DPO, PPO, GRPO.

    sft          supervised fine-tuning on responses            `train_sft`
    lora, neftune  options of SFT: low-rank adapters, noise on the embeddings
    sampled_pairs  preference pairs of own samples, by a verifier or a judge   `write_preference_pairs`
    judge        a judging model behind an OpenAI-compatible endpoint
    dpo          direct preference optimization on pairs        `train_dpo`
    reference    the log-probabilities that DPO holds to, stored
    grpo         reinforcement learning on verified answers     `train_grpo`
    ppo          the same with a value model                    `train_ppo`
    rejection, expert_iteration  learning from own right answers   `write_rejection_samples`, `iterate_experts`
    curriculum, validation  the order of problems; evaluations on the way and the best model
    reward_model a Bradley–Terry reward model of pairs          `train_reward_model`
    scalar_head  rewards and values: a Transformer with a head of one number
    rollouts     the samples that GRPO and PPO learn from
    policy       what the stages share: a model with its tokenizer, optimizer, metrics and evaluation
    control      the replay of a stage alone, to read the tax   `train_control`
    report       the stages side by side                        `write_evaluation_report`
    seed_report  the reports of several runs side by side       `write_seed_report`

The chain is pretrained -> SFT -> DPO -> GRPO, each stage an artifact with `model.safetensors`, `model.json`,
`metrics.jsonl`, `evaluation.json` and `samples.jsonl`. Chats come from `lm.chat`, rewards from `lm.rewards`.

The stages are made of plain tensor functions, which this package passes on. They work with any `CausalLM`, a model of
`transformers` included; docs/alignment.md gives their formulas and an example.
"""

from typing import TYPE_CHECKING

from lm.lazy import load_on_first_use

if TYPE_CHECKING:
    from lm.alignment.advantages import generalized_advantages, group_advantages, whitened
    from lm.alignment.dpo import dpo_loss, dpo_loss_of_pair
    from lm.alignment.log_probs import CausalLM, response_log_probs, token_entropy
    from lm.alignment.masked import masked_mean, masked_normalize
    from lm.alignment.microbatches import grpo_microbatch_step, sft_microbatch_step
    from lm.alignment.packing import PackedSFTDataset
    from lm.alignment.policy_losses import clipped_value_loss, kl_estimate, policy_gradient_loss, token_weights

__getattr__ = load_on_first_use(__name__)

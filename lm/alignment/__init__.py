"""Alignment of a pre-trained model: SFT, DPO, GRPO.

    sft          supervised fine-tuning on responses            `train_sft`
    dpo          direct preference optimization on pairs        `train_dpo`, `dpo_loss`
    grpo         reinforcement learning on verified answers     `train_grpo`, `grpo_loss`
    rollouts     the samples that GRPO learns from, and their advantages
    policy       what the three share: a model with its tokenizer, optimizer, metrics and evaluation
    report       the stages side by side                        `write_evaluation_report`

The chain is pretrained -> SFT -> DPO -> GRPO, each stage an artifact with `model.safetensors`, `model.json`,
`metrics.jsonl`, `evaluation.json` and `samples.jsonl`. Chats come from `lm.chat`, rewards from `lm.rewards`. Import
what you need from its module; this package imports nothing by itself.
"""

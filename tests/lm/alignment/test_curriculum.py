"""The curriculum by pass rate: its weights, its running means, its draws, and its state."""

import json
from collections import Counter

import pytest
import torch

from lm.alignment.config import GRPOConfig
from lm.alignment.curriculum import PassRateOrder, ShuffledOrder, make_order
from lm.errors import ConfigurationError, InputError

RATES = {0: 0.0, 1: 0.25, 2: 0.5, 3: 1.0}


def with_rates():
    order = PassRateOrder(6, 2, seed=3)
    order.note(list(RATES), torch.tensor([[float(n < 4 * rate) for n in range(4)] for rate in RATES.values()]))
    return order


def test_weights_are_highest_for_new_problems_and_for_rates_near_one_half():
    wanted = [0.05, 0.05 + 0.95 * 0.75, 1.0, 0.05, 1.0, 1.0]
    assert with_rates().weights().tolist() == pytest.approx(wanted)


def test_problems_are_drawn_by_their_weights_each_once_a_batch():
    order = with_rates()
    counts = Counter(problem for number in range(1, 2_001) for problem in order.draw(number))
    assert all(len(set(order.draw(number))) == 2 for number in range(1, 50))
    hard, new = counts[0] + counts[3], counts[4] + counts[5]
    assert hard < 0.12 * new and counts[1] < counts[2] and min(counts.values()) > 0
    assert order.draw(7) == order.draw(7) != order.draw(8)


def test_a_batch_larger_than_the_data_takes_each_problem_again():
    drawn = Counter(PassRateOrder(3, 7, seed=0).draw(1))
    assert sorted(drawn.values()) == [2, 2, 3]


def test_rates_are_running_means_and_only_whole_rewards_pass():
    order = PassRateOrder(2, 1, seed=0)
    order.note([1], torch.tensor([[1.0, 0.0, 0.3, 0.0]]))
    assert order.state() == {"rates": {"1": 0.25}}
    order.note([1], torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    assert order.state() == {"rates": {"1": 0.5}}
    assert order.numbers() == {"seen_share": 0.5, "running_pass_rate": 0.5}


@pytest.mark.parametrize("curriculum", ["none", "pass_rate"])
def test_an_order_goes_on_from_its_state(curriculum):
    config = GRPOConfig(batch_size=3, seed=5, curriculum=curriculum)
    generator = torch.Generator().manual_seed(0)
    rewards = [torch.randint(2, (3, 4), generator=generator).float() for _ in range(12)]
    whole, drawn = make_order(config, 10), []
    for number, each in enumerate(rewards, start=1):
        drawn.append(whole.draw(number))
        whole.note(drawn[-1], each)
        if number == 5:
            state = json.loads(json.dumps(whole.state(), sort_keys=True))
    resumed = make_order(config, 10)
    resumed.restore(state, {})
    for number in range(6, 13):
        assert resumed.draw(number) == drawn[number - 1]
        resumed.note(drawn[number - 1], rewards[number - 1])
    assert resumed.numbers() == whole.numbers() and resumed.state() == whole.state()


@pytest.mark.parametrize("curriculum", ["none", "pass_rate"])
def test_an_order_of_no_problems_is_refused(curriculum):
    with pytest.raises(InputError, match=r"to draw .*, expected at least 1"):
        make_order(GRPOConfig(curriculum=curriculum), 0).draw(1)


def test_it_is_off_by_default_and_named():
    assert type(make_order(GRPOConfig(), 3)) is ShuffledOrder
    with pytest.raises(ConfigurationError, match="curriculum"):
        GRPOConfig(curriculum="hard_first")

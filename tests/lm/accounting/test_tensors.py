from lm.accounting.tensors import operations, page

MATRIX = 4 * 1_024**2


def test_views_allocate_nothing_and_copies_a_whole_result():
    found = {each.code: each for each in operations()}
    for code in ("x.view(512, 2048)", "x.T", "x[:, ::2]", "x[0].expand(1024, 1024)", "x.contiguous()"):
        assert found[code].shares_storage and found[code].allocated_bytes == 0, code
    for code in ("x.T.contiguous()", "x.T.reshape(-1)", "x + 1", "x @ x"):
        assert not found[code].shares_storage and MATRIX <= found[code].allocated_bytes < 1.02 * MATRIX, code
    assert found["x.add_(1)"].allocated_bytes < 100
    assert not found["x.T"].contiguous and found["x.T.contiguous()"].contiguous
    assert found["x.to(torch.bfloat16)"].allocated_bytes == MATRIX // 2
    by_hand = found["x.exp() / x.exp().sum(-1, keepdim=True)"].allocated_bytes
    assert by_hand > 1.9 * found["x.softmax(-1)"].allocated_bytes


def test_the_page_has_a_line_an_operation():
    assert len(page().splitlines()) == 3 + len(list(operations()))

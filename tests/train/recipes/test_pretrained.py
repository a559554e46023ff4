import torch

from train.recipes.pretrained import spread


def test_the_judge_sees_how_much_the_rows_differ_where_the_hole_touches_them_and_that_like_ones_do_not():
    features = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    touched = torch.ones(4, 1, 5, 5)
    assert torch.allclose(spread(features, touched)[1, 0], features.std(0, correction=0).mean(0), atol=1e-3)
    assert (spread(features[:1].expand(4, -1, -1, -1), touched) < 1e-3).all()
    touched[2:] = 0  # rows that the hole does not touch do not count
    assert torch.allclose(spread(features, touched)[3, 0], features[:2].std(0, correction=0).mean(0), atol=1e-3)
